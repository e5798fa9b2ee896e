#include "framework/optimizer/schedule.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "cluster/error.hpp"

namespace trireme::framework::optimizer {

namespace {

/// Locates a step after the warm-up.
struct Place {
    double done;    ///< share of the steps after the warm-up that are over
    double falling; ///< share of the last steps, those of the cooldown, that are over
};

/// Share of the way from the highest rate to the last one that is still to go: 1 to 0.
struct Row {
    char const* name;
    double (*left)(Place const& place);
};
constexpr std::array kSchedules{
    Row{"constant", [](Place const&) { return 1.0; }},
    Row{"linear", [](Place const& p) { return 1.0 - p.done; }},
    Row{"cosine", [](Place const& p) { return 0.5 * (1.0 + std::cos(std::numbers::pi * p.done)); }},
    // warm-up, stable, decay (Hu et al. 2024)
    Row{"wsd", [](Place const& p) { return 1.0 - p.falling; }},
};

std::int64_t steps_of(double share, std::int64_t total) {
    return static_cast<std::int64_t>(share * static_cast<double>(total));
}

/// Share of steps [first, first + count) that are over.
double over(std::int64_t step, std::int64_t first, std::int64_t count) {
    double const done =
        static_cast<double>(step - first) / static_cast<double>(std::max<std::int64_t>(1, count));
    return std::clamp(done, 0.0, 1.0);
}

} // namespace

double learning_rate(config::OptimizerSection const& section, std::int64_t step,
                     std::int64_t total) {
    std::int64_t const warmup = steps_of(section.warmup, total),
                       cooldown = steps_of(section.cooldown, total);
    // The convention of transformers' get_linear_schedule_with_warmup: step 0 of a warm-up has rate
    // 0.
    if (step < warmup)
        return section.learning_rate * static_cast<double>(step) /
               static_cast<double>(std::max<std::int64_t>(1, warmup));
    auto const row = std::ranges::find_if(
        kSchedules, [&](auto const& known) { return section.schedule == known.name; });
    if (row == kSchedules.end())
        throw cluster::JobError("optimizer.schedule: " + section.schedule + ": has no row");
    double const left =
        row->left({over(step, warmup, total - warmup), over(step, total - cooldown, cooldown)});
    return section.learning_rate * (section.final_fraction + (1.0 - section.final_fraction) * left);
}

} // namespace trireme::framework::optimizer
