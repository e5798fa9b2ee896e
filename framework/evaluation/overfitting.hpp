// Tells overfitting from noise: whether the loss on held-out samples rises while that of training
// falls. Local; its inputs are the same on every rank, and so is what it finds.
//
// [Note: when a run overfits] Three things must hold after an evaluation:
// 1. The loss has risen in this evaluation and in the one before it, without a fall since the
//    lowest (criterion UP_2 of Prechelt, "Early stopping - but when?", 1998, counted from the
//    lowest).
// 2. The rise since the lowest is beyond the noise of the samples: a paired test of the same
//    samples' losses at both evaluations, one-sided at kLevel. The mean is over trained labels, so
//    its standard error is that of a ratio (Cochran, "Sampling techniques", 1977, section 6.4).
// 3. The steps since the lowest have lower training losses than those between it and the
//    evaluation before: Welch's test, one-sided at kLevel. On a plateau nothing falls any more, so
//    that noise alone does not meet it.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "framework/model/results.hpp"
#include "framework/run/progress.hpp"

namespace trireme::framework::evaluation {

/// Level of both tests: how often noise alone meets each of them.
inline constexpr double kLevel = 0.01;
/// Most samples whose losses are kept for comparison: they are part of a checkpoint.
inline constexpr std::size_t kMostCompared = 2048;

/// Losses of samples of an evaluation.
struct SampleLosses {
    double mean = 0;                       ///< over the trained labels of all samples
    std::vector<double> losses = {};       ///< each summed over the sample's trained labels
    std::vector<std::int64_t> labels = {}; ///< their numbers
};
/// The mean, and at most kMostCompared samples at equal distances in the order given.
SampleLosses losses_to_compare(std::vector<model::SampleResult> const& samples);

/// One-sided p-value that the mean of `now` is above that of `then`, for the same samples.
double p_of_rise(std::vector<double> const& then, SampleLosses const& now);
/// One-sided p-value that the mean of `now` is below that of `then`; 1 for fewer than two each.
double p_of_fall(run::LossSums const& then, run::LossSums const& now);

/// Takes in the evaluation after `step`. Returns whether the run overfits, which gap.overfits is
/// then. A loss that is not finite is no evidence and is passed over.
bool follow_gap(run::Gap& gap, std::int64_t step, SampleLosses const& now);

/// "overfits: ..." for a person, of a gap that does.
std::string overfitting_text(run::Gap const& gap);

} // namespace trireme::framework::evaluation
