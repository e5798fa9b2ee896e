// Between a Hugging Face folder and the parameter store.
#pragma once
#include <string>
#include <vector>

#include "framework/config.hpp"
#include "framework/model/config.hpp"
#include "parallel/parameter_store.hpp"

namespace trireme::framework {

/// config.json of config.model.path with the head that the task needs and the dropout that the run asks for.
/// `labels`: class names of the data. Throws InputError naming file and field. Local.
ModelConfig read_model_config(Config const& config, std::vector<std::string> const& labels);

/// Optimizer steps of the whole run.
std::int64_t planned_steps(Config const& config, std::int64_t samples);

/// Fills the master weights: from the folder's safetensors, or by seed and name when training from scratch or for a new
/// head. Returns one line for each thing a user should know (what was initialised). Throws InputError. Local.
std::vector<std::string> load_weights(Config const& config, ModelConfig const& model, parallel::ParameterStore& store);

/// Writes a Hugging Face folder: config.json, model.safetensors, tokenizer files of `tokenizer_from`. `folder` must not
/// exist. Refuses unless every element of every tensor is written exactly once. Local; call on one rank.
void export_model(ModelConfig const& model, parallel::ParameterStore const& store, std::string const& tokenizer_from,
                  std::string const& folder);

} // namespace trireme::framework
