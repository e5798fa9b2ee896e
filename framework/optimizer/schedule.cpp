#include "framework/optimizer/schedule.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace trireme::framework::optimizer {

namespace {

/// Locates a step after the warm-up.
struct Place {
    double done;    ///< share of the steps after the warm-up that are over
    double falling; ///< share of the last steps, those of the cooldown, that are over
};

/// Share of the way from the highest rate to the last one that is still to go: 1 to 0.
double left(RateSchedule schedule, Place const& p) {
    switch (schedule) {
    case RateSchedule::constant: return 1.0;
    case RateSchedule::linear: return 1.0 - p.done;
    case RateSchedule::cosine: return 0.5 * (1.0 + std::cos(std::numbers::pi * p.done));
    case RateSchedule::wsd: return 1.0 - p.falling; // warm-up, stable, decay (Hu et al. 2024)
    case RateSchedule::range_test: break;           // has no highest rate to begin with
    }
    return 1.0;
}

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

double learning_rate(Section const& section, std::int64_t step, std::int64_t total) {
    if (section.schedule == RateSchedule::range_test)
        return section.learning_rate *
               std::pow(section.final_fraction, 1.0 - over(step, 0, total - 1));
    std::int64_t const warmup = steps_of(section.warmup, total),
                       cooldown = steps_of(section.cooldown, total);
    // The convention of transformers' get_linear_schedule_with_warmup: step 0 of a warm-up has rate
    // 0.
    if (step < warmup)
        return section.learning_rate * static_cast<double>(step) /
               static_cast<double>(std::max<std::int64_t>(1, warmup));
    double const to_go = left(section.schedule, {over(step, warmup, total - warmup),
                                                 over(step, total - cooldown, cooldown)});
    return section.learning_rate *
           (section.final_fraction + (1.0 - section.final_fraction) * to_go);
}

} // namespace trireme::framework::optimizer
