// Fields of a config.json that change nothing in what the model computes.
#pragma once
#include <string>

namespace trireme::framework::pretrained {

/// Does transformers compute the same whatever field `name` of a model of that type says? Fields of
/// the file itself, not of objects in it.
bool is_harmless(std::string const& model_type, std::string const& name);

} // namespace trireme::framework::pretrained
