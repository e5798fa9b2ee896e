// Fields of config.json that several families have, and the readers of families that share more.
// For families.cpp. All throw InputError as Fields does.
#pragma once
#include <cstdint>
#include <functional>
#include <vector>

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
    char const* activation_field = "hidden_act";
};

/// Reads sizes, positions and activation under the names that most families use.
void read_shape(Fields& fields, model::Config& c, Defaults const& otherwise);

/// Padding is never in our data, but a tokenizer may use the same token for the end of a text.
/// transformers does not train its embedding, and classifiers of decoders look at the token before
/// it. `otherwise`: if the field is missing.
void read_pad_token(Fields& fields, model::Config& c, std::int64_t otherwise);

/// Reads which layers have the window: those that layer_types names, else those that `otherwise`
/// says. 0: there is no window.
std::vector<std::int64_t> layer_windows(Fields& fields, model::Config const& c, std::int64_t window,
                                        std::function<bool(std::int64_t)> const& otherwise);
/// Reads the window of a family whose default is `otherwise`; null is none, and so 0.
std::int64_t window_of(Fields& fields, std::int64_t otherwise);

/// Holds what differs between families in rotary positions.
struct RotaryDefaults {
    double base = 10000.0;
    char const* base_field = "rope_theta";
    /// the share of a head that turns; nullptr: a family whose heads turn whole
    char const* share_field = nullptr;
    double share = 1.0;
    bool by_frequency = false; ///< longrope, and no other stretch (Phi-3)
};
/// Reads rotary positions. transformers 4 has rope_theta and rope_scaling, 5 has both in
/// rope_parameters. After the head size and max_positions.
void read_rotary(Fields& fields, model::Config& c, RotaryDefaults const& otherwise = {});
/// Where transformers 4 has the base of full layers and that of layers with a window, and their
/// defaults; no field: it is the other's.
struct LayeredBases {
    double base, local_base;
    char const* local_field = nullptr;
    char const* base_field = "rope_theta";
};
/// Reads rotary positions of two kinds: those of full layers, and those of layers with a window,
/// which are never stretched. After the windows.
void read_layered_rotary(Fields& fields, model::Config& c, LayeredBases const& family);

/// transformers' defaults of a decoder, where the field is missing; 0 heads or head_dim: derived.
struct DecoderDefaults {
    std::int64_t kv_heads = 0, head_size = 0, positions = 2048;
    double epsilon = 1e-6;
    bool tied = false;
    std::int64_t pad_token = kNone;
    char const *activation = "silu", *activation_field = "hidden_act";
    bool causal = true;
    bool slices = true; ///< older transformers cut products by pretraining_tp
};
/// Reads what Llama and its like all have, but for positions, biases and windows.
void read_decoder(Fields& fields, model::Config& c, DecoderDefaults const& otherwise);
/// Tools that write one configuration for all families say of a part that it is not there.
void require_none(Fields& fields, std::initializer_list<char const*> names);

// Encoders.
void read_bert(Fields& fields, model::Config& c);
void read_roberta(Fields& fields, model::Config& c);
void read_distilbert(Fields& fields, model::Config& c);
void read_eurobert(Fields& fields, model::Config& c);
void read_modernbert(Fields& fields, model::Config& c);
// Llama and its like.
void read_llama(Fields& fields, model::Config& c);
void read_mistral(Fields& fields, model::Config& c);
void read_ministral(Fields& fields, model::Config& c);
void read_qwen2(Fields& fields, model::Config& c);
void read_qwen3(Fields& fields, model::Config& c);
void read_granite(Fields& fields, model::Config& c);
void read_apertus(Fields& fields, model::Config& c);
void read_smollm3(Fields& fields, model::Config& c);
// Decoders that differ by more.
void read_gpt2(Fields& fields, model::Config& c);
void read_gpt_neox(Fields& fields, model::Config& c);
void read_phi3(Fields& fields, model::Config& c);
void read_olmo2(Fields& fields, model::Config& c);
void read_olmo3(Fields& fields, model::Config& c);
void read_gemma2(Fields& fields, model::Config& c);
void read_gemma3(Fields& fields, model::Config& c);

} // namespace trireme::framework::pretrained
