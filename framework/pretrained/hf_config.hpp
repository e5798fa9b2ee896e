// config.json of Hugging Face <-> ModelConfig.
#pragma once
#include <string>
#include <vector>

#include "framework/model/config.hpp"

namespace trireme::framework {

/// The body of the model: every field mapped, known to be harmless, or refused by name. The head, labels and dropout
/// that a run asks for are set by the caller. Throws InputError naming file and field.
ModelConfig read_hf_config(std::string const& folder);

/// config.json of the model: what was read, with the head and labels of now; made anew if nothing was read.
std::string to_hf_config(ModelConfig const& config);

/// id2label of a config.json in id order; empty if it has none.
std::vector<std::string> labels_of(ModelConfig const& config);

} // namespace trireme::framework
