#include "launch/explain.hpp"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <sstream>

#include "cluster/counted.hpp"
#include "cluster/error.hpp"
#include "cluster/gather.hpp"
#include "cluster/process.hpp"
#include "cluster/topology.hpp"
#include "framework/planning/run_preview.hpp"
#include "launch/commands.hpp"
#include "launch/doctor.hpp"
#include "launch/options.hpp"

namespace trireme::launch {

namespace po = boost::program_options;

namespace {

std::vector<std::string> words_of(std::string const& text) {
    std::istringstream in(text);
    std::vector<std::string> words;
    for (std::string word; in >> word;) words.push_back(word);
    return words;
}

void print_values(framework::config::ConfigWithOrigins const& resolved) {
    auto const values = framework::config::list_values(resolved.config);
    std::size_t key = 0, value = 0;
    for (auto const& v : values) {
        key = std::max(key, v.key.size());
        value = std::max(value, v.value.size());
    }
    value = std::min<std::size_t>(value, 32);
    for (auto const& v : values)
        fmt::print("{:<{}}  {:<{}}  {}\n", v.key, key, v.value, value, resolved.origins.at(v.key));
    for (auto const& line : resolved.config.notes) fmt::print("\n{}\n", line);
}

void print_keys() {
    for (auto const& v : framework::config::list_values({}))
        fmt::print("{:<28} {:<10} {}\n", v.key, v.value.empty() ? "-" : v.value, v.legal);
}

std::string megabytes(std::int64_t bytes) {
    double const mb = static_cast<double>(bytes) * 1e-6;
    return mb < 1000 ? fmt::format("{:.1f} MB", mb) : fmt::format("{:.2f} GB", mb * 1e-3);
}

/// 22713216 -> 22,713,216
std::string grouped(std::int64_t number) {
    std::string const digits = std::to_string(number);
    std::string text;
    for (std::size_t i = 0; i < digits.size(); ++i) {
        if (i > 0 && (digits.size() - i) % 3 == 0) text += ',';
        text += digits[i];
    }
    return text;
}

std::string counted(std::int64_t n, std::string_view noun) {
    return cluster::counted(n, noun, grouped(n));
}

std::string counted_spread(framework::planning::Spread const& s, std::string_view noun) {
    return s.least == s.most ? counted(s.least, noun)
                             : fmt::format("{} to {}, mean {:.1f} {}", grouped(s.least),
                                           grouped(s.most), s.mean, cluster::plural_of(noun));
}

void print_model(framework::planning::RunPreview const& p) {
    std::int64_t all = 0;
    for (auto const& part : p.parts) all += part.parameters;
    fmt::print("\nmodel       {} parameters\n", grouped(all));
    for (auto const& part : p.parts)
        fmt::print("  {:<18}{:>15}{}\n", part.name, grouped(part.parameters),
                   part.units > 1 ? fmt::format("  ({} of {})", part.units,
                                                grouped(part.parameters / part.units))
                                  : "");
    if (p.frozen > 0)
        fmt::print("  {:<18}{:>15}  (optimizer.freeze)\n", "of them frozen", grouped(p.frozen));
}

void print_samples(framework::planning::RunPreview const& p,
                   framework::config::Config const& config) {
    fmt::print("\ntraining    {} of {} = {:.2f} epochs; an epoch has {}, {} (longest {})\n",
               counted(p.steps, "step"), counted(config.batch.global, "sample"),
               static_cast<double>(p.steps * config.batch.global) / static_cast<double>(p.samples),
               counted(p.samples, "sample"), counted(p.tokens, "token"), grouped(p.longest));
    for (auto const& source : p.sources)
        fmt::print("  {:<10}{:.1f} % = {}, {:.2f} epochs of its {}\n", source.name,
                   100 * source.share, counted(source.samples, "sample"), source.epochs,
                   counted(source.size, "sample"));
    if (p.validation_samples == 0)
        fmt::print("validation  none: {} has no split \"{}\", and nothing is evaluated\n",
                   config.data.path, config.data.validation);
    else
        fmt::print("validation  {}\n", counted(p.validation_samples, "sample"));
    if (config.evaluation.generate > 0)
        fmt::print("completions {} of it at each evaluation, at most {} each\n",
                   counted(config.evaluation.generate, "prompt"),
                   counted(config.evaluation.max_new_tokens, "token"));
    if (p.general_samples > 0)
        fmt::print("general     {} of {}, before training and at each evaluation\n",
                   counted(p.general_samples, "sample"), config.guard.general_data);
}

void print_step(framework::planning::RunPreview const& p, framework::config::Config const& config) {
    fmt::print("a step      {} on {}; {} (first {})\n",
               counted_spread(p.micro_batches, "micro-batch"),
               counted(p.data_ranks, "data-parallel rank"),
               counted_spread(p.tokens_per_step, "token"), counted(p.steps_looked_at, "step"));
    if (p.idle > 0.005)
        fmt::print("            {:.0f} % of the places for micro-batches stay empty: lower "
                   "batch.tokens_per_micro_batch ({}) or raise "
                   "batch.global ({})\n",
                   100 * p.idle, config.batch.tokens_per_micro_batch, config.batch.global);
}

void print_preview(framework::planning::RunPreview const& p,
                   framework::config::Config const& config) {
    fmt::print("\nlayout      {}\n", p.mesh.equation());
    print_model(p);
    print_samples(p, config);
    print_step(p, config);
    fmt::print("\neach rank   {} of weights, {} of gradients, {} of optimizer state = {}, and "
               "activations\n",
               megabytes(p.memory.weights), megabytes(p.memory.gradients),
               megabytes(p.memory.optimizer), megabytes(p.memory.total()));
    fmt::print("disk        {}\n", p.room.line());
}

/// RUN/config.yaml names the folder where the run was. A run that was moved goes on where it is;
/// where both folders are there, it is the user's to say which one is meant.
void follow_moved_run(framework::config::ConfigWithOrigins& resolved, std::string const& file) {
    namespace fs = std::filesystem;
    fs::path const path(file), here = path.has_parent_path() ? path.parent_path() : fs::path(".");
    std::error_code none;
    bool const of_a_run =
        path.filename() == "config.yaml" && fs::exists(here / "metrics.jsonl", none);
    std::string& run = resolved.config.run;
    bool const named_by_file = resolved.origins.at("run").starts_with(file);
    if (!of_a_run || !named_by_file || fs::equivalent(here, run, none)) return;
    if (fs::exists(run, none))
        throw cluster::InputError(fmt::format(
            "{}: run: {}: the file lies in the folder of another run, {}; legal: --set run={} for "
            "the run that the file lies in, --set run={} for the one that it names",
            resolved.origins.at("run"), run, here.string(), here.string(), run));
    resolved.origins.at("run") = fmt::format("derived: the run was moved here from {}", run);
    run = here.string();
}

int own_cores() {
    cpu_set_t mask;
    CPU_ZERO(&mask);
    sched_getaffinity(0, sizeof mask, &mask);
    return CPU_COUNT(&mask);
}

} // namespace

std::vector<std::string> environment_assignments() {
    char const* const text = std::getenv("TRIREME_SET");
    return words_of(text ? text : "");
}

framework::config::ConfigWithOrigins read_shared_config(std::string const& file,
                                                        std::vector<std::string> const& set,
                                                        cluster::Communicator& world) {
    char const* const own = std::getenv("TRIREME_SET");
    std::string const text = cluster::broadcast_bytes(world, own ? own : "", 0, "environment");
    auto resolved = framework::config::read_config_with_origins(file, words_of(text), set);
    follow_moved_run(resolved, file);
    return resolved;
}

void say_notes(framework::config::Config const& config) {
    for (auto const& line : config.notes) cluster::say("{}\n", line);
}

namespace {

ExaminedRun plan_for_doctor(std::string const& file, std::vector<std::string> const& set,
                            cluster::Communicator& world) {
    framework::config::Config const config = read_shared_config(file, set, world).config;
    ExaminedRun run{.folder = config.run, .data = config.data.path};
    if (world.rank() == 0) say_notes(config);
    if (world.rank() == 0) try {
            framework::run::DiskRoom const room =
                framework::inputs::checkpoint_room(config, framework::inputs::open_inputs(config));
            std::string const refusal = room.refusal();
            run.room = {refusal.empty() ? Severity::ok : Severity::problem, "checkpoints",
                        refusal.empty() ? room.line() : refusal,
                        refusal.empty() ? "" : "do what the message says"};
        } catch (cluster::InputError const& error) {
            run.room = {Severity::problem, "checkpoints", cluster::line_of(error),
                        "do what the message says: training would not start"};
        }
    return run;
}

} // namespace

int doctor_command(std::vector<std::string> const& arguments) {
    return doctor(arguments, plan_for_doctor);
}

void dry_run(framework::config::ConfigWithOrigins resolved, int ranks,
             cluster::Communicator& world) {
    int const cores = cluster::topology(world).cores_per_rank;
    if (world.rank() != 0) return;
    int const on = ranks > 0 ? ranks : world.size();
    auto const preview = framework::planning::preview_run(resolved.config, on);
    auto const inputs = framework::inputs::open_inputs(resolved.config);
    framework::inputs::check_start(resolved.config, inputs, preview.room);
    for (auto const* set : {inputs.train.get(), inputs.validation.get(), inputs.general.get()})
        if (set) set->verify(0, 1);
    framework::planning::derive_from_inputs(resolved, inputs);
    framework::planning::derive_layout(resolved, on);
    // The cores of a rank of another job cannot be known here.
    if (ranks == 0) framework::planning::derive_threads(resolved, cores);
    print_values(resolved);
    print_preview(preview, resolved.config);
    fmt::print("\nnothing was written; start it with: mpirun -n {} trireme train ...\n", on);
}

namespace {

struct ExplainRequest {
    std::string file;
    std::vector<std::string> set;
    int ranks = 1;
    bool keys = false;
};

/// Options that fill `r`, which must outlive them.
po::options_description explain_options(ExplainRequest& r) {
    po::options_description options("trireme explain-config CONFIG: every value of the "
                                    "configuration, and where it comes from: the file with its "
                                    "line, --set, the environment variable TRIREME_SET (KEY=VALUE "
                                    "KEY=VALUE ...), default, or derived\n\n"
                                    "  trireme explain-config configs/film-reviews.yaml --set "
                                    "optimizer.learning_rate=5e-5 --ranks 8\n"
                                    "  trireme explain-config --keys\n\nOptions");
    // clang-format off
    options.add_options()
        ("config", po::value(&r.file), "the run, as YAML")
        ("set", po::value(&r.set)->composing()->value_name("KEY=VALUE"),
         "overrides the file's value; may be repeated")
        ("ranks", po::value(&r.ranks)->default_value(1)->value_name("N"),
         "number of ranks to work out the layout for")
        ("keys", po::bool_switch(&r.keys),
         "only list every key with its default and what is legal");
    // clang-format on
    return options;
}

} // namespace

/// Derives what the inputs decide. Returns a note if they cannot be opened here, or "".
static std::string derive_if_possible(framework::config::ConfigWithOrigins& resolved) {
    try {
        framework::planning::derive_from_inputs(resolved,
                                                framework::inputs::open_inputs(resolved.config));
        return "";
    } catch (cluster::InputError const& error) {
        return fmt::format(
            "\nnot derived (train.steps 0, dropout -1), as the inputs cannot be opened here: {}\n",
            error.what());
    }
}

int explain_command(std::vector<std::string> const& arguments) {
    ExplainRequest r;
    po::options_description options = explain_options(r);
    if (!parse(options, arguments, "config")) return 0;
    if (r.keys) return print_keys(), 0;
    if (r.ranks < 1)
        throw cluster::InputError(fmt::format("--ranks: {}: legal: a number >= 1", r.ranks));
    if (r.file.empty())
        throw cluster::InputError("CONFIG: missing; legal: the run, as YAML, or --keys alone");
    auto resolved =
        framework::config::read_config_with_origins(r.file, environment_assignments(), r.set);
    std::string const note = derive_if_possible(resolved);
    framework::planning::derive_layout(resolved, r.ranks);
    framework::planning::derive_threads(resolved, own_cores() / r.ranks);
    print_values(resolved);
    fmt::print("{}", note);
    return 0;
}

} // namespace trireme::launch
