// Takes times of work on all ranks at once.
#pragma once
#include <algorithm>
#include <chrono>
#include <functional>
#include <vector>

#include "cluster/communicator.hpp"
#include "framework/planning/launch.hpp"
#include "framework/run/median.hpp"

namespace trireme::framework::planning {

inline double seconds_between(Clock::time_point from, Clock::time_point to) {
    return std::chrono::duration<double>(to - from).count();
}

using run::median;

/// Means over the ranks, of values that each has as many of.
inline void average(std::vector<double>& values, cluster::Communicator& world) {
    world
        .all_reduce({values.data(), values.size(), cluster::DType::f64}, cluster::ReduceOp::sum,
                    "calibrate")
        .wait();
    for (double& x : values) x /= world.size();
}

/// Median of repeats that take `limit` seconds in all on rank 0, on all ranks at once: an eighth of
/// them is not counted.
inline double repeated(std::function<void(int)> const& work, double limit,
                       cluster::Communicator& world) {
    world.barrier("calibrate");
    auto const start = Clock::now();
    work(0);
    double first = seconds_between(start, Clock::now());
    world.broadcast({&first, 1, cluster::DType::f64}, 0, "calibrate").wait();
    int const repeats = std::clamp(static_cast<int>(limit / std::max(first, 1e-7)), 3, 200);
    std::vector<double> seconds;
    for (int i = 1; i <= repeats; ++i) {
        auto const begin = Clock::now();
        work(i);
        if (i > repeats / 8) seconds.push_back(seconds_between(begin, Clock::now()));
    }
    return median(std::move(seconds));
}

/// Rounds over all that is timed, of which the fastest counts: what disturbs a machine lasts longer
/// than the repeats of one kernel.
inline constexpr int kTimingRounds = 3;
inline void keep_fastest(std::vector<double>& fastest, std::vector<double> const& round) {
    if (fastest.empty()) fastest = round;
    for (std::size_t i = 0; i < fastest.size(); ++i) fastest[i] = std::min(fastest[i], round[i]);
}

} // namespace trireme::framework::planning
