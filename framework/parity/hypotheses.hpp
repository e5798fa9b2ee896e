// Guesses at why a layout is wrong, each tested on its numbers alone.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "framework/parity/laboratory.hpp"

namespace trireme::framework::parity {

struct Cause {
    std::string id;       ///< one word for programs: "loss-scale", "micro-batch-missing", ...
                          ///< (docs/parity.md lists them)
    std::string text;     ///< the likely cause
    std::string evidence; ///< the numbers that say so
    std::vector<std::string> parameters = {}; ///< where it is seen, worst first; empty: all
    /// 0 to 1: 0.9 and more where a computed variant equals the layout
    double confidence = 0;
};

/// The step before, of the reference, where a case is about a later step than a run's first.
struct Before {
    Tensors const& gradient;
    double norm, rate;
};

/// Holds what every hypothesis looks at. "Step 1" is the first step of the laboratory's problem, at
/// whatever step of a run that begins.
struct Case {
    Laboratory& lab;
    Specimen const& specimen;
    std::vector<std::string> wrong; ///< parameters whose gradient of step 1 is wrong, worst first
    Before const* before = nullptr;
};

/// confidence in a variant that fits, in a pattern
inline constexpr double kSure = 0.95, kLikely = 0.8;

/// |a - b| <= tolerance x |b|
bool near(double a, double b, double tolerance);
/// Returns how closely a computed variant must match a layout's numbers, as a fraction.
double closeness(Case const& c);
double first_loss(Case const& c);
/// Does a fit explain the layout's gradients? It must come close, and closer by far than the right
/// gradient itself: weights that are all 1 explain nothing.
bool explains(Case const& c, Fit const& f, std::vector<std::string> const& names);

// Each is empty where the numbers speak against it.

/// A fit of each micro-batch's own gradient to the layout's: scaled as a whole, micro-batches
/// missing, means of means.
std::optional<Cause> micro_batch_weights(Case const& c);
/// The tied embedding alone is wrong: a fit of the gradients of its two uses.
std::optional<Cause> tied_use_missing(Case const& c);
/// Only parameters of which tensor ranks hold copies are wrong.
std::optional<Cause> copies_not_summed(Case const& c);
/// Every gradient is right and their norm is not.
std::optional<Cause> norm_counts_copies(Case const& c);
/// The loss is that of a vocabulary with more classes.
std::optional<Cause> padding_counted(Case const& c);
/// The loss is that of a model whose biases after a sum over ranks are that many times larger.
std::optional<Cause> bias_on_every_rank(Case const& c);
/// The loss is that of micro-batches in which later ranks' positions are off by one.
std::optional<Cause> sequence_offset(Case const& c);
/// The loss is wrong for some samples alone: which have what in common?
std::optional<Cause> samples_apart(Case const& c);
/// The loss is wrong, and every gradient right.
std::optional<Cause> loss_value(Case const& c);
/// The forward pass is wrong: with which weights at 0 does it agree?
std::optional<Cause> forward_pass(Case const& c);
/// The forward pass is right, and no other guess fits the gradients: where, on the way back from
/// the loss, do they start?
std::optional<Cause> backward_pass(Case const& c);
/// Everything is right without one thing that the layout has: recomputation, ZeRO, or stages.
std::optional<Cause> feature_apart(Case const& c);
/// Everything is right without dropout.
std::optional<Cause> dropout_masks(Case const& c);
/// Step 1 is right and the loss of step 2 is that of the weights before it.
std::optional<Cause> stale_weights(Case const& c);
/// Gradients are right but for those of the step before, which are in them as well.
std::optional<Cause> left_over(Case const& c);
/// Gradients stay right and weights do not: the moments are wrong.
std::optional<Cause> optimizer_state(Case const& c);
/// Loss, gradients and norm of step 1 are right, and the moments took something else than gradients
/// scaled by the clip.
std::optional<Cause> clipping(Case const& c);
/// Gradients are right, and moments are what they would be without the steps before.
std::optional<Cause> moments_lost(Case const& c);
/// Everything up to the moments of step 1 is right, and weights moved by a multiple of what they
/// should.
std::optional<Cause> rate(Case const& c);
/// Everything up to the moments of step 1 is right, and weights are off by multiples of what decay
/// takes.
std::optional<Cause> decay(Case const& c);
/// Loss, gradients and norm of step 1 are right and the weights after it are not.
std::optional<Cause> update(Case const& c);
/// Bitwise mode: another hash, and every figure within its bound.
std::optional<Cause> order_of_sums(Case const& c);

using Hypothesis = std::optional<Cause> (*)(Case const&);
/// All of the above. None holds for a layout that is right.
std::vector<Hypothesis> const& hypotheses();
/// Returns the hypotheses that only read numbers, for a step that is wrong after other steps and
/// right when a run begins with it.
std::vector<Hypothesis> const& hypotheses_of_carried();

} // namespace trireme::framework::parity
