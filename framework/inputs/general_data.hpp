// General text whose loss says what a model forgets while it is trained for something else.
#pragma once
#include <memory>

#include "data/loader.hpp"
#include "framework/config/config.hpp"
#include "framework/model/config.hpp"

namespace trireme::framework::inputs {

/// Opens guard.general_data: its split "validation", or else "train"; null without it. Throws
/// InputError if the model has no head for text, if the text was prepared for another head or
/// tokenizer or is too long for the model, and for a limit that could not be kept. Local.
std::unique_ptr<data::Dataset> open_general(config::Config const& config,
                                            model::Config const& model);

} // namespace trireme::framework::inputs
