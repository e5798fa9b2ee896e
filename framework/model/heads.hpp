// Losses of heads that have a row of outputs for each sample.
#pragma once
#include <ATen/ATen.h>

#include "framework/model/config.hpp"
#include "framework/model/pass.hpp"

namespace trireme::framework::model {

/// The sum of losses of logits[n, outputs] times pass.loss_scale, a float64 scalar: cross-entropy
/// against the micro-batch's kClassLabel for a classifier, in training times the class's weight,
/// squared errors or binary cross-entropies against kTargets. Appends a result for each sample.
/// Throws InputError if the micro-batch lacks the column that the head learns from. Local.
at::Tensor rows_loss(Config const& config, at::Tensor const& logits, Pass const& pass,
                     Results& results);

} // namespace trireme::framework::model
