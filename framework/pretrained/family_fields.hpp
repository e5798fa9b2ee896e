// Fields of config.json that several families have, and the readers of families that share more.
// For families.cpp. All throw InputError as Fields does.
#pragma once
#include <cstdint>

#include "framework/model/config.hpp"
#include "framework/pretrained/config_fields.hpp"

namespace trireme::framework::pretrained {

/// A token that there is not.
inline constexpr std::int64_t kNone = -1;

/// Reads the name of an activation; `otherwise`: where the field is missing.
model::Activation activation(Fields& fields, char const* field, char const* otherwise);

/// Reads a number of layers; a wrong one must not fill memory with them.
std::int64_t layer_count(Fields& fields, char const* field);

/// transformers' defaults, where an old file lacks the field.
struct Defaults {
    char const* activation;
    std::int64_t positions;
};

/// Reads sizes, positions and activation under the names that most families use.
void read_shape(Fields& fields, model::Config& c, Defaults const& otherwise);

/// Padding is never in our data, but a tokenizer may use the same token for the end of a text.
/// transformers does not train its embedding, and classifiers of decoders look at the token before
/// it. `otherwise`: if the field is missing.
void read_pad_token(Fields& fields, model::Config& c, std::int64_t otherwise);

// Llama and its like.
void read_llama(Fields& fields, model::Config& c);
void read_mistral(Fields& fields, model::Config& c);
void read_qwen2(Fields& fields, model::Config& c);
void read_qwen3(Fields& fields, model::Config& c);

} // namespace trireme::framework::pretrained
