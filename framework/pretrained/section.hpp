// Section `model` of a run's configuration.
#pragma once
#include <string>

namespace trireme::framework::pretrained {

struct ModelSection {
    std::string path; ///< Hugging Face folder (config.json, safetensors, tokenizer files)
    /// random weights keyed by seed and name; path gives config and tokenizer only
    bool from_scratch = false;
    /// -1: as config.json says
    double hidden_dropout = -1, attention_dropout = -1, classifier_dropout = -1;
};

} // namespace trireme::framework::pretrained
