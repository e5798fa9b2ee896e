// Tells whether rounding decides what becomes of a run. In fast mode two layouts add the same
// numbers in another order, which is as if each weight were off by a rounding. Where training is
// stable such a difference stays as small as it is; where it is not, it grows until the runs have
// nothing in common, and neither loss nor gradient norm shows that: both look as they do in a
// stable run. So we measure it: a few steps are computed twice, the second time from weights whose
// last bit is flipped, and the losses are compared. Afterwards weights and moments are what they
// were, bit by bit.
#pragma once
#include <ATen/ATen.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "framework/config/config.hpp"
#include "framework/optimizer/adamw.hpp"
#include "framework/optimizer/gradient_norm.hpp"
#include "framework/parallelize/parallel_model.hpp"
#include "framework/run/progress.hpp"
#include "framework/step/batch_source.hpp"

namespace trireme::framework::train {

/// Findings of a rehearsal, the same on every rank.
struct Rehearsal {
    std::int64_t step = 0, steps = 0; ///< its first step; how many were computed twice
    double loss = 0, other_loss = 0;  ///< losses of the step whose two losses differ most, in nats
    bool parts = false;               ///< the difference grew far beyond rounding
    std::string text() const;         ///< for the log
};

class Sensitivity {
  public:
    static constexpr std::int64_t kSteps = 16;

    /// `total`: steps of the run. The others must outlive it. Local.
    Sensitivity(config::Config const& config, std::int64_t total, parallelize::ParallelModel& model,
                optimizer::AdamW& optimizer, optimizer::GradientNorm const& gradient_norm,
                step::BatchSource& batches);

    /// Is a rehearsal to begin before this step? Three times in a run: when the warm-up ends, where
    /// the rate is highest, and after 40 % and 70 % of the steps. Never in bitwise mode, whose
    /// layouts cannot part in this way, and not in float64. Local; the same on every rank.
    bool due(std::int64_t step) const;
    /// Computes the next steps twice and puts everything back. Nothing is found if that would cost
    /// too much (guard.sensitivity: auto: more than 2 % of the run's steps and than five seconds),
    /// if a host has no room for the copy of weights and moments, or if `told` asks for an end.
    /// `seconds`: of a step, as rank 0 knows it; 0: unknown. `told` is called after each step by
    /// all ranks, and says the same on each. Every step before must be settled. Collective.
    std::optional<Rehearsal> measure(run::Progress const& progress, double seconds,
                                     std::function<bool()> const& told);

  private:
    /// Weights and moments of a unit, in host memory.
    struct Held {
        parallel::Unit* unit;
        at::Tensor master, moment1, moment2, average; ///< there may be no average
    };
    bool affordable(std::int64_t step, double seconds) const;
    bool has_room() const;
    std::vector<Held> hold() const;
    void put_back(std::vector<Held> const& held);
    /// Losses of the next steps; fewer than kSteps where the run ends or `told` does.
    std::vector<double> rehearse(run::Progress progress, std::function<bool()> const& told);
    double step(run::Progress const& progress);

    config::Config const& config_;
    std::int64_t total_;
    parallelize::ParallelModel& model_;
    optimizer::AdamW& optimizer_;
    optimizer::GradientNorm const& gradient_norm_;
    step::BatchSource& batches_;
    std::vector<std::int64_t> starts_;
};

} // namespace trireme::framework::train
