// Translates between Hugging Face's config.json and model::Config.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "framework/model/config.hpp"

namespace trireme::framework::pretrained {

/// The body of the model: every field mapped, known to be harmless, or refused by name. The head,
/// labels and dropout that a run asks for are set by the caller. Throws InputError naming file and
/// field.
model::Config read_hf_config(std::string const& folder);

/// Returns the config.json of the model: what was read, field by field, with the present head,
/// labels and dtype of the weights. `dtype`: float32 | bfloat16 | float16 | float64, or "" to keep
/// it.
std::string to_hf_config(model::Config const& config, std::string const& dtype);

/// Returns vocab_size of the model's config.json, which is less than `vocabulary` where the data
/// added tokens; `vocabulary` of a model that was made here.
std::int64_t vocabulary_in_folder(model::Config const& config);

/// Returns id2label of the model's config.json in id order; empty if it has none.
std::vector<std::string> labels_of(model::Config const& config);
/// Returns the transformers class that a config.json names first; "" if it names none.
std::string transformers_class_of(model::Config const& config);
/// Says whether a config.json is of a classifier: of a ...ForSequenceClassification, or of no class
/// at all and with names of labels.
bool is_classifier(model::Config const& config);
/// By which loss transformers trains a classifier of that config.json: its problem_type.
std::string problem_of(model::Config const& config);
/// The names that transformers gives the classes of a classifier: id2label, else LABEL_0, LABEL_1,
/// ... for num_labels, else for two.
std::vector<std::string> class_names_of(model::Config const& config);

} // namespace trireme::framework::pretrained
