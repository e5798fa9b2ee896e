// Data of masked language modelling, as training and evaluation read them.
#pragma once
#include <cstdint>
#include <memory>

#include "data/loader.hpp"
#include "framework/config/config.hpp"
#include "framework/model/config.hpp"

namespace trireme::framework::inputs {

/// The seed of the masks of evaluation, one and the same for every run, so that losses compare.
inline constexpr std::uint64_t kEvaluationMasks = 0;

/// Hides words of data of masked language modelling (data/masked_dataset.hpp), by the mask token of
/// the tokenizer in data.path or else in model.path; hands other data back as they are. Throws
/// InputError if neither names a mask token that the model has. Local.
std::unique_ptr<data::Dataset> with_masks(std::unique_ptr<data::Dataset> set,
                                          config::Config const& config, model::Config const& model,
                                          std::uint64_t seed);

} // namespace trireme::framework::inputs
