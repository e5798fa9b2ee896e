#include "framework/run/planned_steps.hpp"

#include <fmt/format.h>

#include <cmath>

#include "cluster/counted.hpp"
#include "cluster/error.hpp"

namespace trireme::framework::run {

namespace {

/// The least number of four digits that is not below `x`.
std::string enough(double x) {
    double const digit = std::pow(10, std::floor(std::log10(x)) - 3);
    return fmt::format("{:.4g}", std::ceil(x / digit * (1 - 1e-12)) * digit);
}

} // namespace

std::int64_t planned_steps(TrainSection const& section, std::int64_t global, std::int64_t samples) {
    if (section.steps > 0) return section.steps;
    double const exact =
        section.epochs * static_cast<double>(samples) / static_cast<double>(global);
    if (exact > 1e15)
        throw cluster::InputError(
            fmt::format("train.epochs: {}: legal: at most 1e15 steps", section.epochs));
    auto const steps = static_cast<std::int64_t>(std::floor(exact));
    if (steps < 1)
        throw cluster::InputError(fmt::format(
            "train.epochs: {}: {} make no whole step of batch.global {}; legal: {} or more",
            section.epochs, cluster::counted(samples, "sample"), global,
            enough(static_cast<double>(global) / static_cast<double>(samples))));
    return steps;
}

} // namespace trireme::framework::run
