// Times collective calls of a communicator by size, and fits the latency and the time of a byte.
#pragma once
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "framework/planning/calibration.hpp"
#include "framework/planning/launch.hpp"

namespace trireme::framework::planning {

struct SizeTime {
    double bytes = 0, seconds = 0;
};

/// Latency and time of a byte, both >= 0, that a line through the points has: least squares of
/// relative errors, in which points far off the others count little (Tukey's biweight; Huber &
/// Ronchetti, "Robust Statistics", 2009, chapter 7). residual: median of |fitted / measured - 1|.
struct LineFit {
    double latency = 0, per_byte = 0, residual = 0;
};
/// Throws std::invalid_argument for less than two sizes. Local, pure.
LineFit fit_line(std::span<SizeTime const> points);

struct CollectiveSizes {
    std::vector<double> bytes; ///< of the whole array (CollectiveFit)
    int repeats = 7;           ///< of each size, after one that is not counted
    std::function<Clock::time_point()> now = Clock::now;
};

/// Times all-reduce, all-gather, reduce-scatter, all-to-all, broadcast and exchange of float32 on
/// `group`: the median of the repeats, each as long as its slowest member. `nodes`: on which the
/// group lies. Collective; returns the same on every member. Throws what the group throws.
std::vector<CollectiveTime> time_collectives(cluster::Communicator& group, std::int64_t nodes,
                                             CollectiveSizes const& sizes);

/// Share of compute that hides an all-reduce that runs at the same time: 0 where it goes on only
/// while somebody waits for it. Collective; returns the same on every member.
double measured_overlap(cluster::Communicator& group, int repeats);

/// A fit for each kind of call and group in `times`.
std::vector<CollectiveFit> fit_collectives(std::vector<CollectiveTime> const& times);

} // namespace trireme::framework::planning
