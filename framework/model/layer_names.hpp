// Lists Hugging Face's names of a transformer's tensors by their role. A tensor that a family lacks
// has an empty name. Where a folder has several parameters fused in one tensor, each has a name of
// its own here.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "framework/model/config.hpp"

namespace trireme::framework::model {

/// A weight and its bias ("" if none).
struct LinearNames {
    std::string weight, bias;
};

struct LayerNames {
    LinearNames query, key, value, output;
    LinearNames gate, up, down;
    LinearNames attention_norm, feed_forward_norm;
    LinearNames attention_output_norm, feed_forward_output_norm;
    LinearNames query_norm, key_norm;
    /// numbers of the activation: two that are trained, two that are not
    std::string activation_positive, activation_negative, activation_beta, activation_epsilon;
};

struct EmbeddingNames {
    std::string tokens, positions, segments;
    LinearNames norm;
};

struct HeadNames {
    LinearNames norm;           ///< after the last block
    std::string language_model; ///< the same as EmbeddingNames::tokens when tied
    LinearNames pooler, pooler_norm, classifier;
    /// of each token, between the body and the head's last layer
    LinearNames transform, transform_norm;
    std::string vocabulary_bias; ///< added to its scores
};

EmbeddingNames embedding_names(Config const& config);
LayerNames layer_names(Config const& config, std::int64_t layer);
HeadNames head_names(Config const& config);

/// Prefixes of the tensors of the body: first the model's own, then those that folders with other
/// heads have; "" in a bare encoder's or decoder's folder.
std::vector<std::string> body_prefixes(Config const& config);
/// The tensor of a Hugging Face folder that a parameter is, or is a part of: GPT-2 has query, key
/// and value in one, Phi-3 gate and up too.
std::string stored_name(Config const& config, std::string const& parameter);

} // namespace trireme::framework::model
