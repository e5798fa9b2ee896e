#include "framework/planning/launch_price.hpp"

#include <algorithm>
#include <ranges>

#include "framework/run/median.hpp"

namespace trireme::framework::planning {

double launch_seconds(Calibration const& c, Launch const& launch, AttentionKind attention) {
    if (launch.product.rows > 0)
        return c.launch +
               static_cast<double>(launch.batch) * product_seconds(c, launch.dtype, launch.product);
    if (launch.tokens > 0) {
        attention.backward = launch.name.ends_with("backward");
        attention.size = launch.head_size;
        return c.launch +
               attention_seconds(c, attention, static_cast<double>(launch.tokens * launch.heads));
    }
    return operation_seconds(c, launch.name, launch.dtype, static_cast<double>(launch.bytes));
}

double measured_together(Calibration const& c, std::span<TimedStep const> steps) {
    auto const [fewest, most] =
        std::ranges::minmax(steps | std::views::transform(&TimedStep::tokens));
    std::vector<double> ratios;
    for (auto const& step : steps) {
        if (step.tokens == fewest && fewest < most) continue;
        double sum = 0;
        for (auto const& launch : step.launches) sum += launch_seconds(c, launch, step.attention);
        ratios.push_back(step.seconds / sum);
    }
    return run::median(std::move(ratios));
}

} // namespace trireme::framework::planning
