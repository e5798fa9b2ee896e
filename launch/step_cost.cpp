// `trireme step-cost CONFIG`: what a step asks of a device, counted from the code that trains.
// Nothing is computed; weights and activations are shapes.
#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "cluster/error.hpp"
#include "cluster/output_file.hpp"
#include "framework/planning/constants.hpp"
#include "framework/planning/machine_file.hpp"
#include "framework/planning/memory.hpp"
#include "framework/planning/roofline.hpp"
#include "framework/planning/step_cost.hpp"
#include "launch/commands.hpp"
#include "launch/options.hpp"
#include "launch/plan_run.hpp"

namespace trireme::launch {

namespace planning = framework::planning;
namespace parallelize = framework::parallelize;
namespace po = boost::program_options;

namespace {

using Json = nlohmann::ordered_json;

struct CostRequest {
    std::string file, machine, json;
    std::vector<std::string> set;
    std::int64_t sequence = 0;
    int ranks = 1, rank = 0;
    bool force = false;
};

/// Options that fill `r`, which must outlive them.
po::options_description step_cost_options(CostRequest& r) {
    po::options_description options(
        "trireme step-cost CONFIG: launches, bytes, waits and collectives of a step, counted from "
        "the code\nthat trains; nothing is computed\n\n"
        "  trireme step-cost configs/film-reviews.yaml\n"
        "  trireme step-cost configs/film-reviews.yaml --ranks 2 --json cost.json\n"
        "  trireme step-cost run.yaml --set parallel.device=cuda --ranks 8 --machine dgx-h100"
        "\n\nOptions");
    // clang-format off
    options.add_options()
        ("config", po::value(&r.file)->required(), "the run, as YAML (`explain-config --keys`)")
        ("set", po::value(&r.set)->composing()->value_name("KEY=VALUE"),
         "overrides the file's value; may be repeated")
        ("ranks", po::value(&r.ranks)->default_value(1)->value_name("N"), "ranks of the run")
        ("rank", po::value(&r.rank)->default_value(0)->value_name("N"),
         "the rank whose step is counted")
        ("sequence", po::value(&r.sequence)->value_name("TOKENS"),
         "tokens of each sample; default: those of the longest in the data, which need not be here "
         "otherwise")
        ("machine", po::value(&r.machine)->value_name("NAME"),
         "a file of configs/machines, or the path of one: adds what the step would take on its "
         "GPUs, by a model")
        ("json", po::value(&r.json)->value_name("FILE"),
         "writes the counts, by operation too")
        ("force", po::bool_switch(&r.force), "replaces a file that exists");
    // clang-format on
    return options;
}

void check_cost_request(CostRequest const& r) {
    if (r.ranks < 1)
        throw cluster::InputError(fmt::format("--ranks: {}: legal: a number >= 1", r.ranks));
    if (r.rank < 0 || r.rank >= r.ranks)
        throw cluster::InputError(
            fmt::format("--rank: {}: legal: a number from 0 to {}", r.rank, r.ranks - 1));
    if (r.sequence < 0 || r.sequence > 10'000'000)
        throw cluster::InputError(
            fmt::format("--sequence: {}: legal: a whole number from 1 to 10000000", r.sequence));
}

planning::StepDescription step_of(PlannedRun const& run, CostRequest const& r) {
    auto const& c = run.config;
    if (c.batch.tokens_per_micro_batch < run.sequence)
        throw cluster::InputError(
            fmt::format("batch.tokens_per_micro_batch: {}: legal: at least a sample's {} tokens",
                        c.batch.tokens_per_micro_batch, run.sequence));
    auto step = planning::even_step(run.model, c.parallel, c.numerics,
                                    {c.batch.global, run.sequence, c.batch.tokens_per_micro_batch},
                                    r.ranks);
    step.base = c.train.base_divergence > 0;
    step.average = c.optimizer.ema_decay > 0;
    return step;
}

Json json_of(planning::Cost const& c) {
    return {{"launches", c.launches},     {"bytes_read", c.read},
            {"bytes_written", c.written}, {"elementwise_bytes", c.elementwise()},
            {"products", c.products},     {"allocations", c.allocations},
            {"host_waits", c.waits},      {"collectives", c.collectives},
            {"bytes_sent", c.wire},       {"exposed_collectives", c.exposed}};
}

/// What libtorch's allocator would hold, and whether a warm step asks the driver for more.
void print_allocator(PlannedRun const& run, planning::StepDescription const& step,
                     CostRequest const& r) {
    auto const states = planning::predict_allocator(run.model, step, r.rank, 3);
    fmt::print(
        "\ntensors take {:.2f} GB at most, for which libtorch's allocator reserves {:.2f} GB, "
        "by its policy;\nit asks the driver {} times in the first step, {} in the second, {} "
        "in the third\n",
        static_cast<double>(states[2].most_allocated) / 1e9,
        static_cast<double>(states[2].reserved) / 1e9, states[0].device_calls,
        states[1].device_calls - states[0].device_calls,
        states[2].device_calls - states[1].device_calls);
}

/// A machine of GPUs with as many nodes as the ranks fill.
planning::Machine read_gpus(CostRequest const& r, PlannedRun const& run,
                            planning::Constants const& constants) {
    if (run.config.parallel.device != parallelize::Device::cuda)
        throw cluster::InputError("--machine: legal with parallel.device: cuda: a model of GPUs");
    auto const file = planning::read_machine(r.machine, machines_folder());
    auto machine = file.machine;
    if (machine.gpu.name == "cpu")
        throw cluster::InputError(
            fmt::format("--machine: {}: legal: a machine that has GPUs", r.machine));
    machine.nodes = (r.ranks + machine.gpus_per_node - 1) / machine.gpus_per_node;
    return constants.complete(std::move(machine), file.verified_on != "nothing");
}

planning::StepRoofline model_step(planning::Machine const& machine,
                                  planning::Constants const& constants, PlannedRun const& run,
                                  CostRequest const& r) {
    auto const& c = run.config;
    return planning::step_roofline(
        {.model = run.model,
         .section = c.parallel,
         .numerics = c.numerics,
         .batch = {c.batch.global, run.sequence, c.batch.tokens_per_micro_batch},
         .ranks = r.ranks,
         .machine = machine,
         .stack = constants.stack("trireme"),
         .base = c.train.base_divergence > 0,
         .average = c.optimizer.ema_decay > 0});
}

/// Lines of the model: names and seconds.
std::vector<std::pair<char const*, double>> lines_of(planning::StepRoofline const& model) {
    auto const& s = model.busiest;
    return {{"matrix products", s.products},   {"attention", s.attention},
            {"other launches", s.elementwise}, {"gaps, and the host", s.launches},
            {"tensor ranks", s.tensor},        {"data ranks", s.data},
            {"other stages", model.waits}};
}

void print_roofline(planning::StepRoofline const& model, planning::Machine const& machine,
                    PlannedRun const& run, CostRequest const& r) {
    double const step = model.step();
    fmt::print("\nOn {} x {}, by a model (docs/gpu.md); nothing of it is measured:\n\n", r.ranks,
               machine.gpu.name);
    for (auto const& [name, seconds] : lines_of(model))
        fmt::print("{:<24}{:>10.4f} s{:>8.1f} %\n", name, seconds, 100 * seconds / step);
    double const tokens =
        static_cast<double>(run.config.batch.global * run.sequence) / step / r.ranks;
    double const flops = planning::flops_per_token(
                             {planning::shape_of(run.model), run.sequence, run.config.batch.global})
                             .palm;
    fmt::print("{:<24}{:>10.4f} s: {:.0f} tokens/s of each GPU, MFU (PaLM) {:.1f} %\n", "a step",
               step, tokens, 100 * tokens * flops / machine.gpu.matrix_flops);
}

std::string cost_document(std::vector<planning::PlaceCost> const& places, CostRequest const& r,
                          std::optional<planning::StepRoofline> const& model) {
    Json all{{"rank", r.rank}, {"ranks", r.ranks}, {"places", Json::array()}};
    planning::Cost total;
    for (auto const& place : places) {
        total += place.cost;
        Json one{{"doing", place.doing}, {"block", place.block}, {"cost", json_of(place.cost)}};
        for (auto const& [name, cost] : place.operations) one["operations"][name] = json_of(cost);
        all["places"].push_back(std::move(one));
    }
    all["total"] = json_of(total);
    if (model) {
        all["model"] = {{"machine", r.machine}, {"seconds", model->step()}};
        for (auto const& [name, seconds] : lines_of(*model)) all["model"]["parts"][name] = seconds;
    }
    return all.dump(2) + "\n";
}

void print_row(std::string const& place, planning::Cost const& c) {
    constexpr double kMega = 1e6;
    fmt::print("{:<24}{:>9}{:>9}{:>12.1f}{:>12.1f}{:>12.1f}{:>8}{:>6}{:>7}{:>10.1f}{:>8}\n", place,
               c.launches, c.products, static_cast<double>(c.read) / kMega,
               static_cast<double>(c.written) / kMega, static_cast<double>(c.elementwise()) / kMega,
               c.allocations, c.waits, c.collectives, static_cast<double>(c.wire) / kMega,
               c.exposed);
}

/// Places that cost the same, one after another, are one row.
void print_places(std::vector<planning::PlaceCost> const& places) {
    for (std::size_t i = 0, next = 0; i < places.size(); i = next) {
        auto const& first = places[i];
        for (next = i + 1; next < places.size() && places[next].doing == first.doing &&
                           places[next].cost == first.cost;
             ++next) {
        }
        std::string place = first.doing;
        if (first.block >= 0) place += fmt::format(" {}", first.block);
        if (next - i > 1) place += fmt::format(" to {}, each", places[next - 1].block);
        print_row(place, first.cost);
    }
}

void print_step_cost(std::vector<planning::PlaceCost> const& places, PlannedRun const& run,
                     CostRequest const& r) {
    planning::Cost total;
    for (auto const& place : places) total += place.cost;
    fmt::print("a step of rank {} of {}, {} samples of {} tokens in all, {} layers of width {}, as "
               "on a {}\n\n",
               r.rank, r.ranks, run.config.batch.global, run.sequence, run.model.layers,
               run.model.hidden,
               run.config.parallel.device == parallelize::Device::cuda ? "GPU" : "CPU");
    fmt::print("{:<24}{:>9}{:>9}{:>12}{:>12}{:>12}{:>8}{:>6}{:>7}{:>10}{:>8}\n", "block",
               "launches", "products", "MB read", "MB written", "elementwise", "allocs", "waits",
               "calls", "MB sent", "exposed");
    print_places(places);
    print_row("all", total);
    fmt::print(
        "\nblock 0: embeddings on the first stage, the last: the head on the last stage. "
        "Products:\n"
        "launches of matrix products and attention; elementwise: MB of the other launches. Calls:\n"
        "collectives; exposed: those waited for before anything else was launched.\n");
}

} // namespace

int step_cost_command(std::vector<std::string> const& arguments) {
    CostRequest r;
    po::options_description options = step_cost_options(r);
    if (!parse(options, arguments, "config")) return 0;
    check_cost_request(r);
    std::optional<cluster::OutputFile> json;
    if (!r.json.empty()) json.emplace("--json", r.json, existing(r.force));
    PlannedRun const run =
        read_planned_run(framework::config::read_config(r.file, r.set), r.sequence);
    auto const step = step_of(run, r);
    std::optional<planning::Constants> constants;
    std::optional<planning::Machine> machine;
    if (!r.machine.empty()) {
        constants = planning::read_constants(installed_constants());
        machine = read_gpus(r, run, *constants);
    }
    auto const places = planning::step_cost(
        run.model, step, r.rank, run.config.parallel.device == parallelize::Device::cuda);
    std::optional<planning::StepRoofline> model;
    if (machine) model = model_step(*machine, *constants, run, r);
    print_step_cost(places, run, r);
    if (run.config.parallel.device == parallelize::Device::cuda) print_allocator(run, step, r);
    if (model) print_roofline(*model, *machine, run, r);
    if (json) json->write(cost_document(places, r, model));
    return cluster::kDone;
}

} // namespace trireme::launch
