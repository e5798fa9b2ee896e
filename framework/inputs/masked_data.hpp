// Data of masked language modelling, as training and evaluation read them.
#pragma once
#include <cstdint>
#include <memory>

#include "data/loader.hpp"
#include "data/masked_dataset.hpp"
#include "framework/config/config.hpp"
#include "framework/model/config.hpp"

namespace trireme::framework::inputs {

/// Hides words of data of masked language modelling (data/masked_dataset.hpp), by the mask token of
/// the tokenizer in data.path or else in model.path, which is filled in; hands other data back as
/// they are. Evaluation has the defaults of Masking in every run, so that losses compare. Throws
/// InputError if neither folder names a mask token that the model has. Local.
std::unique_ptr<data::Dataset> with_masks(std::unique_ptr<data::Dataset> set,
                                          config::Config const& config, model::Config const& model,
                                          data::Masking masking);

} // namespace trireme::framework::inputs
