// Readers of config.json for Llama and its like.
#include <algorithm>
#include <initializer_list>
#include <tuple>

#include "cluster/counted.hpp"
#include "framework/pretrained/family_fields.hpp"

namespace trireme::framework::pretrained {

namespace {

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

/// Tools that write one configuration for all of them say of a bias that it is not there.
void require_no_bias(Fields& fields, std::initializer_list<char const*> names) {
    for (auto const* name : names) fields.require(name, false);
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

} // namespace

void read_llama(Fields& fields, model::Config& c) {
    read_llama_like(fields, c, {0, 0, 2048});
    c.attention_bias = c.output_bias = fields.get("attention_bias", false);
    c.feed_forward_bias = fields.get("mlp_bias", false);
}

void read_mistral(Fields& fields, model::Config& c) {
    read_llama_like(fields, c, {8, 0, 131072});
    require_no_bias(fields, {"attention_bias", "mlp_bias"});
    // null is no window; a missing field is transformers' default.
    std::int64_t const otherwise = fields.contains("sliding_window") ? 0 : 4096;
    c.windows.assign(static_cast<std::size_t>(c.layers),
                     fields.positive("sliding_window", otherwise));
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

} // namespace trireme::framework::pretrained
