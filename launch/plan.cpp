// `trireme plan CONFIG`: which layouts of a run fit a machine, how long they take, and what the
// others lack. Nothing is computed on a device; weights and activations are shapes.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <optional>

#include "cluster/error.hpp"
#include "cluster/output_file.hpp"
#include "framework/inputs/inputs.hpp"
#include "framework/inputs/model_config.hpp"
#include "framework/planning/constants.hpp"
#include "framework/planning/memory.hpp"
#include "framework/planning/price_step.hpp"
#include "launch/commands.hpp"
#include "launch/options.hpp"
#include "launch/plan_run.hpp"
#include "launch/programs.hpp"

namespace trireme::launch {

namespace planning = framework::planning;
namespace parallelize = framework::parallelize;
namespace po = boost::program_options;

namespace {

/// Bytes of a GPU that a CUDA context, cuBLAS' workspace and NCCL's buffers take: assumed.
constexpr double kLibraryOfGpu = 1.5e9;

struct PlanRequest {
    std::string file, machine, write, csv;
    std::vector<std::string> set;
    std::int64_t nodes = 0, gpus_per_node = 0, sequence = 0, steps = 0;
    int top = 10;
    RowsRequest rows;
};

/// Options that fill `r`, which must outlive them.
po::options_description plan_options(PlanRequest& r) {
    po::options_description options(
        "trireme plan CONFIG: which layouts of a run fit a machine, and how fast they are\n\n"
        "  trireme plan configs/film-reviews.yaml --machine dgx-h100 --nodes 1\n"
        "  trireme plan configs/film-reviews.yaml --machine alps --nodes 2 --write best.yaml\n"
        "  trireme plan --rows runs.jsonl --out predictions.csv\n\nThe last one predicts runs of "
        "other frameworks, described a line each (docs/planning.md).\n\nOptions");
    // clang-format off
    options.add_options()
        ("config", po::value(&r.file), "the run, as YAML (`explain-config --keys`)")
        ("set", po::value(&r.set)->composing()->value_name("KEY=VALUE"),
         "overrides the file's value; may be repeated")
        ("machine", po::value(&r.machine)->value_name("NAME"),
         "a file of configs/machines, or the path of one")
        ("nodes", po::value(&r.nodes)->value_name("N"), "nodes of the job")
        ("gpus-per-node", po::value(&r.gpus_per_node)->value_name("N"),
         "GPUs of a node that the job has; default: all")
        ("sequence", po::value(&r.sequence)->value_name("TOKENS"),
         "tokens of a sample; default: those of the longest in the data, which need not be here "
         "otherwise")
        ("steps", po::value(&r.steps)->value_name("N"),
         "steps of the run; default: as the data and the configuration say")
        ("top", po::value(&r.top)->default_value(10)->value_name("N"), "layouts to show")
        ("write", po::value(&r.write)->value_name("FILE"),
         "writes the fastest layout as a configuration")
        ("csv", po::value(&r.csv)->value_name("FILE"), "writes every layout that was judged")
        ("rows", po::value(&r.rows.rows)->value_name("FILE"),
         "descriptions of runs, one JSON object a line; what was measured is left out of them "
         "before anything is read")
        ("out", po::value(&r.rows.out)->value_name("FILE"),
         "with --rows: CSV of id, step_s, mem_alloc_GB, mem_reserved_GB, fits")
        ("constants", po::value(&r.rows.constants)->value_name("FILE"),
         "with --rows: constants of GPUs, links and frameworks; default: those installed")
        ("force", po::bool_switch(&r.rows.force), "replaces files that exist");
    // clang-format on
    return options;
}

/// Refuses options of the one kind of plan beside those of the other.
void check_together(PlanRequest const& r) {
    auto const refuse = [](char const* option, std::string const& legal) {
        throw cluster::InputError(fmt::format("{}: {}", option, legal));
    };
    if (r.rows.rows.empty()) {
        if (r.file.empty()) refuse("CONFIG", "missing; legal: the run, as YAML");
        if (r.machine.empty()) refuse("--machine", "missing; legal: a file of configs/machines");
        if (r.nodes == 0) refuse("--nodes", "missing; legal: nodes of the job");
        if (!r.rows.out.empty()) refuse("--out", "legal: with --rows");
        if (!r.rows.constants.empty()) refuse("--constants", "legal: with --rows");
    } else if (!r.file.empty() || !r.machine.empty() || r.nodes != 0 || !r.write.empty() ||
               !r.csv.empty())
        refuse("--rows", "legal: alone, with --out, --constants and --force");
}

int one_to_a_million(char const* option, std::int64_t value) {
    if (value < 1 || value > 1'000'000)
        throw cluster::InputError(
            fmt::format("{}: {}: legal: a whole number from 1 to 1000000", option, value));
    return static_cast<int>(value);
}

planning::SearchRequest search_request(PlanRequest const& r, PlannedRun const& run) {
    planning::SearchRequest search{
        .model = run.model,
        .run = {planning::shape_of(run.model), run.sequence, run.config.batch.global},
        .compute = run.config.numerics.compute,
        .machine = planning::read_machine(r.machine, machines_folder())};
    auto& machine = search.machine.machine;
    machine.nodes = one_to_a_million("--nodes", r.nodes);
    if (r.gpus_per_node != 0)
        machine.gpus_per_node = one_to_a_million("--gpus-per-node", r.gpus_per_node);
    search.gpu = machine.gpu.name != "cpu";
    search.library = search.gpu ? kLibraryOfGpu : 0;
    search.base = run.config.train.base_divergence > 0;
    search.average = run.config.optimizer.ema_decay > 0;
    auto const constants = planning::read_constants(installed_constants());
    machine = constants.complete(machine, search.machine.verified_on != "nothing");
    search.stack = constants.stack("trireme");
    search.profile = [&run](planning::ProfileRequest const& request) {
        return planning::profile_blocks(run.model, request);
    };
    if (machine.calibration) search.price = planning::price_blocks;
    return search;
}

std::string with_layout(planning::Judged const& best, PlannedRun const& run, bool gpu) {
    auto config = run.config;
    config.parallel = best.plan.layout.section;
    if (gpu) config.parallel.device = parallelize::Device::cuda;
    config.batch.tokens_per_micro_batch = best.plan.micro_batch * run.sequence;
    return framework::config::to_yaml(config);
}

/// Files that the user named, tried before anything is worked out.
struct Outputs {
    explicit Outputs(PlanRequest const& r) {
        if (!r.write.empty()) write.emplace("--write", r.write, existing(r.rows.force));
        if (!r.csv.empty()) csv.emplace("--csv", r.csv, existing(r.rows.force));
    }
    std::optional<cluster::OutputFile> write, csv;
};

void print_plan(planning::SearchRequest const& search, PlannedRun const& run,
                planning::SearchResult const& result, int top) {
    auto const& machine = search.machine.machine;
    fmt::print("machine        {}: {} x {} {}, {:.1f} GB each; measured on: {}\n",
               search.machine.name, machine.nodes, machine.gpus_per_node, machine.gpu.name,
               machine.gpu.memory_bytes / 1e9, search.machine.verified_on);
    fmt::print("run            {} samples of {} tokens a step, {} layers of width {}\n",
               run.config.batch.global, run.sequence, run.model.layers, run.model.hidden);
    if (search.base)
        fmt::print("note           train.base_divergence: memory is with the base model; times are "
                   "without its forward passes, about a third of the compute time more\n");
    print_configured(search, run);
    fmt::print("\n{} layouts fit, {} of them on the front of time and memory\n",
               result.fitting.size(), planning::pareto(result).size());
    fmt::print("{}", planning::table_of(result, search.run, search.machine, search.library,
                                        static_cast<std::size_t>(std::max(0, top))));
    print_refused(result);
    if (!result.fitting.empty()) print_chosen(result.fitting.front(), search, run);
}

} // namespace

std::string machines_folder() {
    namespace fs = std::filesystem;
    auto const installed = own_folder().parent_path() / "share/trireme/machines";
    return exists(installed) ? installed.string() : TRIREME_MACHINES;
}

PlannedRun read_planned_run(framework::config::Config const& config, std::int64_t sequence) {
    PlannedRun run{.config = config};
    if (sequence == 0 || std::filesystem::exists(config.data.path)) {
        auto const inputs = framework::inputs::open_inputs(config);
        run.model = inputs.model;
        run.sequence = inputs.train->longest();
        run.steps = inputs.steps;
    } else {
        run.model = framework::inputs::read_model_config(config, {});
        run.model.frozen = config.optimizer.freeze;
        run.steps = config.train.steps;
    }
    if (sequence > 0) run.sequence = sequence;
    return run;
}

int plan_command(std::vector<std::string> const& arguments) {
    PlanRequest r;
    po::options_description options = plan_options(r);
    if (!parse(options, arguments, "config")) return 0;
    check_together(r);
    if (!r.rows.rows.empty()) return plan_rows(r.rows);
    PlannedRun run = read_planned_run(framework::config::read_config(r.file, r.set), r.sequence);
    if (r.steps > 0) run.steps = r.steps;
    auto const search = search_request(r, run);
    Outputs outputs(r);
    auto const result = planning::search_layouts(search);
    print_plan(search, run, result, r.top);
    if (outputs.csv) outputs.csv->write(planning::to_csv(result, search.run, search.library));
    if (result.fitting.empty()) return cluster::kBadInput;
    if (outputs.write) outputs.write->write(with_layout(result.fitting.front(), run, search.gpu));
    return cluster::kDone;
}

} // namespace trireme::launch
