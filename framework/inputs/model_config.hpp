// The model of a run, and whether its data fit it.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "data/loader.hpp"
#include "data/manifest.hpp"
#include "framework/config/config.hpp"
#include "framework/model/config.hpp"

namespace trireme::framework::inputs {

/// Reads config.json of config.model.path, with the head that the task needs and the dropout that
/// the run asks for. `labels`: class names of the data. Throws InputError naming file and field.
/// Local.
model::Config read_model_config(config::Config const& config,
                                std::vector<std::string> const& labels);

/// Gives the model room for the tokens that `prepare` added to its tokenizer, if it lacks that.
/// Leaves the refusal of a model that still does not fit to check_fit. Local.
void make_room(model::Config& model, data::Manifest const& manifest);

/// Throws InputError if a token or a place of a sample is beyond what the model knows.
void check_fit(model::Config const& model, data::Dataset const& set, config::Config const& config);

} // namespace trireme::framework::inputs
