#include "framework/pretrained/families.hpp"
#include "cluster/counted.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <tuple>

namespace trireme::framework::pretrained {

namespace {

/// `otherwise`: where the field is missing.
model::Activation activation(Fields& fields, char const* field, char const* otherwise) {
    struct Name {
        char const* name;
        model::Activation activation;
    };
    constexpr std::array<Name, 6> kNames{{{"silu", model::Activation::silu},
                                          {"swish", model::Activation::silu},
                                          {"gelu", model::Activation::gelu},
                                          {"gelu_new", model::Activation::gelu_tanh},
                                          {"gelu_pytorch_tanh", model::Activation::gelu_tanh},
                                          {"relu", model::Activation::relu}}};
    auto const asked = fields.get(field, std::string(otherwise));
    for (auto const& n : kNames)
        if (asked == n.name) return n.activation;
    fields.refuse(field, "silu, swish, gelu, gelu_new, gelu_pytorch_tanh, relu");
}

/// A wrong one must not fill memory with layers.
std::int64_t layer_count(Fields& fields, char const* field) {
    auto const layers = fields.positive(field);
    if (layers > 10'000) fields.refuse(field, "at most 10000");
    return layers;
}

/// transformers' defaults, where an old file lacks the field.
struct Defaults {
    char const* activation;
    std::int64_t positions;
};

void read_shape(Fields& fields, model::Config& c, Defaults const& otherwise) {
    c.hidden = fields.positive("hidden_size");
    c.layers = layer_count(fields, "num_hidden_layers");
    c.heads = fields.positive("num_attention_heads");
    c.feed_forward = fields.positive("intermediate_size");
    c.vocabulary = fields.positive("vocab_size");
    c.max_positions = fields.positive("max_position_embeddings", otherwise.positions);
    c.initializer_range = fields.get("initializer_range", 0.02);
    c.activation = activation(fields, "hidden_act", otherwise.activation);
}

constexpr std::int64_t kNone = -1;

/// Padding is never in our data, but a tokenizer may use the same token for the end of a text.
/// transformers does not train its embedding, and classifiers of decoders look at the token before
/// it. `otherwise`: if the field is missing.
void read_pad_token(Fields& fields, model::Config& c, std::int64_t otherwise) {
    c.pad_token = fields.get("pad_token_id", fields.contains("pad_token_id") ? kNone : otherwise);
    c.untrained_token = c.pad_token;
    if (c.pad_token < 0 && fields.has("pad_token_id")) // as an index of rows it counts from the end
        c.untrained_token += c.vocabulary;
    if (c.pad_token >= c.vocabulary || c.pad_token < -c.vocabulary)
        fields.refuse("pad_token_id", "a token of the vocabulary, or null");
}

// ---- BERT

void read_bert(Fields& fields, model::Config& c) {
    read_shape(fields, c, {"gelu", 512});
    fields.require("embedding_size", c.hidden);
    if (c.hidden % c.heads) fields.refuse("num_attention_heads", "a divisor of hidden_size");
    c.kv_heads = c.heads;
    c.head_size = c.hidden / c.heads;
    c.token_types = fields.positive("type_vocab_size", 2);
    read_pad_token(fields, c, 0);
    c.norm = model::Norm::layer;
    c.norm_epsilon = fields.positive_real("layer_norm_eps", 1e-12);
    c.gated = c.norm_first = c.causal = false;
    c.attention_bias = c.output_bias = c.feed_forward_bias = true;
    c.positions = model::Positions::learned;
    fields.require("position_embedding_type", "absolute");
    fields.require("is_decoder", false);
    fields.require("tie_word_embeddings", true);
    c.tied_embeddings = true;
    c.embedding_dropout = c.hidden_dropout = fields.probability("hidden_dropout_prob", 0.1);
    c.attention_dropout = fields.probability("attention_probs_dropout_prob", 0.1);
    c.classifier_dropout = fields.probability("classifier_dropout", c.hidden_dropout);
}

// ---- GPT-2

std::vector<double> gpt2_attention_scale(Fields& fields, model::Config const& c) {
    bool const by_size = fields.get("scale_attn_weights", true),
               by_layer = fields.get("scale_attn_by_inverse_layer_idx", false);
    if (by_size && !by_layer) return {};
    std::vector<double> scale;
    for (std::int64_t layer = 0; layer < c.layers; ++layer)
        scale.push_back((by_size ? 1.0 / std::sqrt(static_cast<double>(c.head_size)) : 1.0) /
                        (by_layer ? static_cast<double>(layer + 1) : 1.0));
    return scale;
}

void read_gpt2(Fields& fields, model::Config& c) {
    c.hidden = fields.positive("n_embd");
    c.layers = layer_count(fields, "n_layer");
    c.heads = c.kv_heads = fields.positive("n_head");
    c.vocabulary = fields.positive("vocab_size");
    c.max_positions = fields.positive("n_positions", 1024);
    fields.require("n_ctx", c.max_positions);
    if (c.hidden % c.heads) fields.refuse("n_head", "a divisor of n_embd");
    c.head_size = c.hidden / c.heads;
    c.feed_forward = fields.positive("n_inner", 4 * c.hidden);
    c.initializer_range = fields.get("initializer_range", 0.02);
    c.activation = activation(fields, "activation_function", "gelu_new");
    c.norm = model::Norm::layer;
    c.norm_epsilon = fields.positive_real("layer_norm_epsilon", 1e-5);
    c.norm_first = c.causal = true;
    c.gated = false;
    c.attention_bias = c.output_bias = c.feed_forward_bias = true;
    c.input_major = true; // "Conv1D"
    c.positions = model::Positions::learned;
    c.attention_scale = gpt2_attention_scale(fields, c);
    c.tied_embeddings = fields.get("tie_word_embeddings", true);
    c.embedding_dropout = fields.probability("embd_pdrop", 0.1);
    c.hidden_dropout = fields.probability("resid_pdrop", 0.1);
    c.attention_dropout = fields.probability("attn_pdrop", 0.1);
    read_pad_token(fields, c, kNone);
    c.untrained_token = kNone; // its embedding layer knows no padding
    for (auto const& [alias, value] : {std::pair{"hidden_size", c.hidden},
                                       {"num_hidden_layers", c.layers},
                                       {"num_attention_heads", c.heads},
                                       {"max_position_embeddings", c.max_positions}})
        fields.require(alias, value);
}

// ---- Llama and its like

struct Rope {
    double base = 10000.0;
    model::RotaryStretch stretch;
};

/// `base`: where the object does not say it.
Rope read_rope(Fields rope, model::Config const& c, double base) {
    Rope result{.base = rope.positive_real("rope_theta", base)};
    rope.require("partial_rotary_factor", 1.0);
    auto const alias = rope.get("type", std::string("default")),
               type = rope.get("rope_type", alias);
    if (rope.has("type") && type != alias) rope.refuse("type", type + ", as rope_type says");
    model::RotaryStretch& stretch = result.stretch;
    if (type == "linear") {
        stretch.scaling = model::RotaryScaling::linear;
        stretch.factor = rope.get<double>("factor");
    } else if (type == "llama3") {
        stretch = {model::RotaryScaling::llama3, rope.get<double>("factor"),
                   rope.get<double>("low_freq_factor"), rope.get<double>("high_freq_factor"),
                   rope.positive("original_max_position_embeddings", c.max_positions)};
        if (!(stretch.low_frequency > 0)) rope.refuse("low_freq_factor", "a number > 0");
        if (!(stretch.high_frequency > stretch.low_frequency))
            rope.refuse("high_freq_factor", "more than low_freq_factor");
    } else if (type != "default") {
        rope.refuse(rope.has("rope_type") ? "rope_type" : "type", "default, linear, llama3");
    }
    // neither of the others looks at it
    if (type != "llama3") rope.ignore({"original_max_position_embeddings"});
    if (!(stretch.factor >= 1)) rope.refuse("factor", "a number >= 1");
    rope.check_all_known();
    return result;
}

/// transformers 4 has rope_theta and rope_scaling, 5 has both in rope_parameters.
void read_rotary(Fields& fields, model::Config& c) {
    c.positions = model::Positions::rotary;
    double const base = fields.positive_real("rope_theta", 10000.0);
    fields.require("partial_rotary_factor", 1.0);
    Fields const old = fields.object("rope_scaling"), now = fields.object("rope_parameters");
    Rope const rope = read_rope(old.empty() ? now : old, c, base);
    // transformers 4 reads the outer one, 5 the inner
    if (fields.has("rope_theta") && rope.base != base)
        (old.empty() ? now : old)
            .refuse("rope_theta", fmt::format("{}, as rope_theta beside it says", base));
    if (!old.empty() && !now.empty()) {
        Rope const other = read_rope(now, c, base);
        auto const all = [](Rope const& r) {
            auto const& s = r.stretch;
            return std::tuple(r.base, s.scaling, s.factor, s.low_frequency, s.high_frequency,
                              s.original_context);
        };
        if (all(rope) != all(other))
            fields.refuse("rope_scaling", "what rope_parameters beside it says, or one of them");
    }
    c.rotary_base = rope.base;
    c.rotary = rope.stretch;
}

/// Tools that write one configuration for all families say of much that it is not there.
void require_nothing_more(Fields& fields) {
    for (auto const* part : {"bias", "use_bias", "lm_head_bias", "alibi", "use_qk_norm"})
        fields.require(part, false);
    for (auto const* dropout : {"embd_pdrop", "resid_pdrop", "attn_pdrop", "hidden_dropout",
                                "hidden_dropout_prob", "attention_probs_dropout_prob"})
        fields.require(dropout, 0.0);
    fields.require("is_causal", true);
    fields.require("rope_interleaved", false);
    fields.require("pretraining_tp", 1);
    fields.require("dual_chunk_attention_config", nullptr); // servers compute it
}

/// transformers' defaults, where the field is missing; 0 heads or head_dim: derived.
struct DecoderDefaults {
    std::int64_t kv_heads, head_size, positions;
};

/// Reads what all of them have.
void read_llama_like(Fields& fields, model::Config& c, DecoderDefaults const& otherwise) {
    auto const [kv_heads, head_size, positions] = otherwise;
    read_shape(fields, c, {"silu", positions});
    if (c.activation != model::Activation::silu) fields.refuse("hidden_act", "silu");
    bool const kv_heads_missing = !fields.contains("num_key_value_heads") && kv_heads;
    c.kv_heads = fields.positive("num_key_value_heads", kv_heads_missing ? kv_heads : c.heads);
    if (c.heads % c.kv_heads)
        fields.refuse("num_key_value_heads", "a divisor of num_attention_heads");
    if (!fields.has("head_dim") && !head_size && c.hidden % c.heads)
        fields.refuse("num_attention_heads", "a divisor of hidden_size, or head_dim given");
    c.head_size = fields.positive("head_dim", head_size ? head_size : c.hidden / c.heads);
    if (c.head_size % 2) fields.refuse("head_dim", "an even number, for rotary positions");
    c.norm = model::Norm::rms;
    c.norm_epsilon = fields.positive_real("rms_norm_eps", 1e-6);
    c.gated = c.norm_first = c.causal = true;
    c.tied_embeddings = fields.get("tie_word_embeddings", false);
    c.attention_dropout = fields.probability("attention_dropout", 0.0);
    require_nothing_more(fields);
    read_pad_token(fields, c, kNone);
    read_rotary(fields, c);
}

void read_llama(Fields& fields, model::Config& c) {
    read_llama_like(fields, c, {0, 0, 2048});
    c.attention_bias = c.output_bias = fields.get("attention_bias", false);
    c.feed_forward_bias = fields.get("mlp_bias", false);
}

/// Tools that write one configuration for all of them say of a bias that it is not there.
void require_no_bias(Fields& fields, std::initializer_list<char const*> names) {
    for (auto const* name : names) fields.require(name, false);
}

void read_mistral(Fields& fields, model::Config& c) {
    read_llama_like(fields, c, {8, 0, 131072});
    require_no_bias(fields, {"attention_bias", "mlp_bias"});
    // null is no window; a missing field is transformers' default.
    std::int64_t const otherwise = fields.contains("sliding_window") ? 0 : 4096;
    c.windows.assign(static_cast<std::size_t>(c.layers),
                     fields.positive("sliding_window", otherwise));
}

/// Finds a Qwen's windows: the layers that layer_types names, else those from max_window_layers on.
std::vector<std::int64_t> qwen_windows(Fields& fields, model::Config const& c) {
    bool const used = fields.get("use_sliding_window", false);
    std::int64_t const otherwise = fields.contains("sliding_window") ? 0 : 4096,
                       asked = fields.positive("sliding_window", otherwise),
                       window = used ? asked : 0,
                       first = fields.get<std::int64_t>("max_window_layers", 28);
    std::vector<std::int64_t> windows;
    for (std::int64_t layer = 0; layer < c.layers; ++layer)
        windows.push_back(layer >= first ? window : 0);
    auto const types = fields.get("layer_types", std::vector<std::string>());
    if (types.empty()) return windows;
    if (static_cast<std::int64_t>(types.size()) != c.layers)
        fields.refuse("layer_types", "one for each of " + cluster::counted(c.layers, "layer"));
    for (std::size_t layer = 0; layer < types.size(); ++layer) {
        bool const sliding = types[layer] == "sliding_attention";
        if (!sliding && types[layer] != "full_attention")
            fields.refuse("layer_types", "full_attention, sliding_attention");
        if (sliding && !window)
            fields.refuse("layer_types", "full_attention alone, as there is no sliding window");
        windows[layer] = sliding ? window : 0;
    }
    return windows;
}

void read_qwen2(Fields& fields, model::Config& c) {
    read_llama_like(fields, c, {32, 0, 32768});
    c.attention_bias = true; // of query, key and value, not of the output
    c.windows = qwen_windows(fields, c);
    fields.require("attention_bias", true);
    require_no_bias(fields, {"mlp_bias"});
    fields.require("use_mrope", false);
}

void read_qwen3(Fields& fields, model::Config& c) {
    read_llama_like(fields, c, {32, 128, 32768});
    c.attention_bias = c.output_bias = fields.get("attention_bias", false);
    require_no_bias(fields, {"mlp_bias"});
    c.qk_norm = true;
    c.windows = qwen_windows(fields, c);
}

constexpr std::array<FamilyEntry, 6> kFamilies{{
    {"bert", model::Family::bert, read_bert, "", "BertForSequenceClassification"},
    {"gpt2", model::Family::gpt2, read_gpt2, "GPT2LMHeadModel", "GPT2ForSequenceClassification"},
    {"llama", model::Family::llama, read_llama, "LlamaForCausalLM",
     "LlamaForSequenceClassification"},
    {"mistral", model::Family::mistral, read_mistral, "MistralForCausalLM",
     "MistralForSequenceClassification"},
    {"qwen2", model::Family::qwen2, read_qwen2, "Qwen2ForCausalLM",
     "Qwen2ForSequenceClassification"},
    {"qwen3", model::Family::qwen3, read_qwen3, "Qwen3ForCausalLM",
     "Qwen3ForSequenceClassification"},
}};

} // namespace

std::span<FamilyEntry const> families() {
    return kFamilies;
}

FamilyEntry const& entry_of(model::Family family) {
    return *std::ranges::find(kFamilies, family, &FamilyEntry::family);
}

std::string architecture_of(model::Config const& config) {
    FamilyEntry const& entry = entry_of(config.family);
    auto const head = model::traits_of(config.head);
    if (head.of_vocabulary()) return entry.language_model;
    switch (head.rows) {
    case data::Per::sample: return entry.classifier;
    case data::Per::token: break; // no head has labels of tokens yet
    }
    return "";
}

} // namespace trireme::framework::pretrained
