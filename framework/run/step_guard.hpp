// Judges a step. A bad step has not changed the weights, since the update is withheld on the same
// numbers (step/results.hpp). Local: its inputs are the same on every rank, and so is its verdict.
#pragma once
#include <cstdint>
#include <string>

#include "framework/run/progress.hpp"
#include "framework/run/section.hpp"

namespace trireme::framework::run {

enum class Decision : std::uint8_t {
    good,      ///< update the weights
    leave_out, ///< go on without an update, as if the step's samples were not there
    rollback,  ///< back to the newest checkpoint, and leave these samples out from there on
    stop       ///< end the job with an error
};

struct Judgement {
    Decision verdict = Decision::good;
    std::string what; ///< "loss nan and gradient norm nan are not finite"; empty if good
};

/// The loss above which a step is a spike; infinite while none can be told.
double highest_loss(GuardSection const& guard, Progress const& progress);

/// A loss or gradient norm that is not finite is a fault. So is a loss above `spike` times the
/// median of the last good ones (as in Chowdhery et al., "PaLM", 2022, section 5.1, whose cure is
/// `rollback`), once 20 of them are known. More than `most_skips` steps left out in one run are a
/// fault of the run, whatever the policy.
Judgement judge_step(GuardSection const& guard, Progress const& progress, double loss,
                     double gradient_norm);

/// Notes the loss of a good step.
void note_good_step(Progress& progress, double loss);

} // namespace trireme::framework::run
