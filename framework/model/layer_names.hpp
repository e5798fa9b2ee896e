// Hugging Face's names of a transformer's tensors, by the part they play. What a family lacks is an empty string.
#pragma once
#include <cstdint>
#include <string>

#include "framework/model/config.hpp"

namespace trireme::framework {

/// A weight and its bias ("" if none).
struct LinearNames {
    std::string weight, bias;
};

struct LayerNames {
    LinearNames query, key, value, output;
    LinearNames gate, up, down;
    LinearNames attention_norm, feed_forward_norm;
};

struct StemNames {
    std::string tokens, positions, segments;
    LinearNames norm;
};

struct HeadNames {
    LinearNames norm;           ///< after the last block
    std::string language_model; ///< the same as StemNames::tokens when tied
    LinearNames pooler, classifier;
};

StemNames stem_names(ModelConfig const& config);
LayerNames layer_names(ModelConfig const& config, std::int64_t layer);
HeadNames head_names(ModelConfig const& config);

} // namespace trireme::framework
