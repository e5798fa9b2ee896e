#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <ctime>

#include "cluster/error.hpp"
#include "framework/planning/memory.hpp"
#include "launch/plan_run.hpp"

namespace trireme::launch {

namespace planning = framework::planning;
using parallel::Axis;

namespace {

constexpr double kGb = 1e9;

/// The layout that the configuration asks for.
planning::OwnPlan configured(PlannedRun const& run, planning::SearchRequest const& search) {
    auto section = run.config.parallel;
    auto const mesh = parallel::resolve(
        {{section.pipeline, section.replicate, section.shard, section.context, section.tensor}},
        static_cast<int>(search.machine.machine.nodes * search.machine.machine.gpus_per_node),
        section.zero > 0);
    section.replicate = mesh[Axis::replicate];
    section.shard = mesh[Axis::shard];
    return {{.section = section},
            std::max<std::int64_t>(1, run.config.batch.tokens_per_micro_batch / run.sequence)};
}

/// The step of a layout with as many micro-steps as tell its peak.
planning::StepDescription described(planning::Judged const& j, PlannedRun const& run) {
    auto const& layout = j.plan.layout;
    std::int64_t const stages = layout.mesh[Axis::pipeline],
                       enough = std::min<std::int64_t>(
                           layout.micro_steps, 2 * stages * layout.section.virtual_stages + 1),
                       data = layout.mesh[Axis::replicate] * layout.mesh[Axis::shard];
    return {.mesh = layout.mesh,
            .section = layout.section,
            .numerics = run.config.numerics,
            .tokens_per_micro_batch = j.plan.micro_batch * run.sequence,
            .lengths = std::vector<std::int64_t>(
                static_cast<std::size_t>(data * enough * j.plan.micro_batch), run.sequence),
            .base = run.config.train.base_divergence > 0,
            .average = run.config.optimizer.ema_decay > 0};
}

/// Where a run is at its peak, by the code that trains.
struct ExactPeak {
    int rank = 0;
    std::int64_t block = 0;
    planning::MemoryMoment moment;
};

ExactPeak exact_peak(planning::Judged const& j, PlannedRun const& run, bool gpu) {
    auto const& mesh = j.plan.layout.mesh;
    ExactPeak peak{.rank = j.stage * mesh.product() / mesh[Axis::pipeline]};
    peak.moment = planning::predict_memory(run.model, described(j, run), peak.rank, gpu).peak;
    peak.block = peak.moment.place.block;
    return peak;
}

void print_classes(planning::MemoryMoment const& moment, double library) {
    for (std::size_t c = 0; c < moment.by_class.size(); ++c)
        fmt::print("  {:<14}{:10.3f} GB\n", parallel::kMemoryClassNames[c],
                   static_cast<double>(moment.by_class[c]) / kGb);
    if (library > 0) fmt::print("  {:<14}{:10.3f} GB\n", "library", library / kGb);
}

std::string place_text(ExactPeak const& peak) {
    auto const& place = peak.moment.place;
    return place.block < 0 ? fmt::format("rank {}, {}", peak.rank, place.doing)
                           : fmt::format("rank {}, block {} ({} of micro-step {})", peak.rank,
                                         place.block, place.doing, place.micro_step);
}

void print_remedies(planning::SearchRequest const& search, planning::OwnPlan const& plan) {
    auto const found = planning::remedies(search, plan);
    constexpr std::size_t kMost = 6;
    if (found.empty())
        fmt::print("  no single change makes it fit; layouts that fit are below, or take more "
                   "nodes\n");
    else
        fmt::print("  remedies, the cheapest first:\n");
    for (std::size_t i = 0; i < std::min(kMost, found.size()); ++i)
        fmt::print("    {:8.4g} s a step, {:6.2f} GB: {}\n", found[i].time.step,
                   (found[i].memory.total() + search.library) / kGb,
                   planning::to_text(found[i].plan));
}

void print_run_cost(planning::Judged const& best, planning::SearchRequest const& search,
                    PlannedRun const& run) {
    auto const& m = search.machine;
    double const nodes = static_cast<double>(m.machine.nodes),
                 devices = nodes * static_cast<double>(m.machine.gpus_per_node);
    double const hours = best.time.step * static_cast<double>(run.steps) / 3600,
                 kwh = hours * (devices * m.gpu_watts + nodes * m.host.watts) / 1000;
    auto const end = std::time(nullptr) + static_cast<std::time_t>(hours * 3600);
    fmt::print("  {} steps: {:.2f} hours, {:.1f} node-hours; started now it ends {:%Y-%m-%d %H:%M} "
               "UTC\n",
               run.steps, hours, hours * nodes, fmt::gmtime(end));
    if (double const limit = run.config.job.minutes / 60; limit > 0)
        fmt::print("  in jobs of {:.1f} hours: {:.0f} of them\n", limit, std::ceil(hours / limit));
    if (kwh > 0) fmt::print("  energy, at the GPUs' highest power: at most {:.0f} kWh\n", kwh);
}

} // namespace

void print_configured(planning::SearchRequest const& search, PlannedRun const& run) {
    planning::Judged j;
    try {
        j = planning::Judge(search).judge(configured(run, search));
    } catch (cluster::InputError const& error) {
        fmt::print("\nas configured  impossible: {}\n", error.what());
        return;
    }
    fmt::print("\nas configured  {}\n", planning::to_text(j.plan));
    if (!j.reason.empty()) {
        fmt::print("  impossible: {}\n", j.reason);
        return;
    }
    ExactPeak const peak = exact_peak(j, run, search.gpu);
    double const over = static_cast<double>(peak.moment.peak) + search.library -
                        search.machine.machine.gpu.memory_bytes;
    if (over > 0) {
        fmt::print("  does not fit: {}, {}\n", place_text(peak), planning::overflow_text(over));
        print_remedies(search, j.plan);
        return;
    }
    fmt::print("  fits: at most {:.2f} GB at {}; {:.4g} s a step\n",
               (static_cast<double>(peak.moment.peak) + search.library) / kGb, place_text(peak),
               j.time.step);
}

void print_refused(planning::SearchResult const& result) {
    fmt::print("\nrefused\n");
    if (!result.refused.empty()) {
        auto const& nearest = result.refused.front();
        fmt::print("  {:7} do not fit; the nearest by {}: {}\n", result.refused.size(),
                   planning::overflow_text(nearest.over), planning::to_text(nearest.plan));
    }
    for (auto const& [reason, count] : result.impossible) fmt::print("  {:7} {}\n", count, reason);
}

void print_chosen(planning::Judged const& best, planning::SearchRequest const& search,
                  PlannedRun const& run) {
    auto const& t = best.time;
    auto const& gpu = search.machine.machine.gpu;
    double const devices =
        static_cast<double>(search.machine.machine.nodes * search.machine.machine.gpus_per_node);
    double const rate =
        static_cast<double>(run.sequence * run.config.batch.global) / t.step / devices;
    auto const flops = planning::flops_per_token(search.run);
    auto const share = [&](double of_token) { return 100 * of_token * rate / gpu.matrix_flops; };
    fmt::print("\nfastest  {}\n", planning::to_text(best.plan));
    fmt::print(
        "  {:.4g} s a step: compute {:.4g}, tensor axis {:.4g}, pipeline axis {:.4g}, bubble "
        "{:.4g}, data axes {:.4g}, optimizer {:.4g}\n",
        t.step, t.compute, t.tensor_exposed, t.pipeline_exposed, t.bubble, t.data_exposed,
        t.optimizer);
    fmt::print("  {:.0f} tokens/s, {:.0f} on each; utilisation {:.1f} % (Megatron-LM), {:.1f} % "
               "(PaLM), {:.1f} % (torchtitan)\n",
               rate * devices, rate, share(flops.megatron), share(flops.palm),
               share(flops.torchtitan));
    if (run.steps > 0) print_run_cost(best, search, run);
    ExactPeak const peak = exact_peak(best, run, search.gpu);
    fmt::print("  memory of {}: {:.4g} GB of {:.1f}, by the code that trains\n", place_text(peak),
               (static_cast<double>(peak.moment.peak) + search.library) / kGb,
               gpu.memory_bytes / kGb);
    print_classes(peak.moment, search.library);
}

} // namespace trireme::launch
