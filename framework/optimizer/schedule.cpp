#include "framework/optimizer/schedule.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace trireme::framework::optimizer {

double learning_rate(config::OptimizerSection const& section, std::int64_t step,
                     std::int64_t total) {
    auto const warmup = static_cast<std::int64_t>(section.warmup * static_cast<double>(total));
    // The convention of transformers' get_linear_schedule_with_warmup: step 0 of a warm-up has rate
    // 0.
    if (step < warmup)
        return section.learning_rate * static_cast<double>(step) /
               static_cast<double>(std::max<std::int64_t>(1, warmup));
    double const done = static_cast<double>(step - warmup) /
                        static_cast<double>(std::max<std::int64_t>(1, total - warmup));
    double share = 1.0;
    if (section.schedule == "linear") share = std::max(0.0, 1.0 - done);
    if (section.schedule == "cosine")
        share = 0.5 * (1.0 + std::cos(std::numbers::pi * std::min(1.0, done)));
    return section.learning_rate *
           (section.final_fraction + (1.0 - section.final_fraction) * share);
}

} // namespace trireme::framework::optimizer
