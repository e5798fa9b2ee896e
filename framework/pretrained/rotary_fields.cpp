// Readers of rotary positions in a config.json.
#include <algorithm>
#include <cmath>
#include <tuple>

#include "framework/pretrained/family_fields.hpp"

namespace trireme::framework::pretrained {

namespace {

struct Rope {
    double base = 10000.0, share = 1.0;
    model::RotaryStretch stretch;
    auto all() const {
        auto const& s = stretch;
        return std::tuple(base, share, s.scaling, s.factor, s.low_frequency, s.high_frequency,
                          s.original_context, s.amplitude, s.whole_pairs, s.factors,
                          s.long_factors);
    }
};

/// The numbers of a head that turn.
std::int64_t turned(model::Config const& c, double share) {
    return static_cast<std::int64_t>(static_cast<double>(c.head_size) * share);
}

void read_llama3(Fields& rope, model::Config const& c, model::RotaryStretch& stretch) {
    stretch = {model::RotaryScaling::llama3, rope.get<double>("factor"),
               rope.get<double>("low_freq_factor"), rope.get<double>("high_freq_factor"),
               rope.positive("original_max_position_embeddings", c.max_positions)};
    if (!(stretch.low_frequency > 0)) rope.refuse("low_freq_factor", "a number > 0");
    if (!(stretch.high_frequency > stretch.low_frequency))
        rope.refuse("high_freq_factor", "more than low_freq_factor");
}

double yarn_amplitude(double factor, double weight) {
    return factor <= 1 ? 1.0 : 0.1 * weight * std::log(factor) + 1.0;
}

void read_yarn(Fields& rope, model::Config const& c, model::RotaryStretch& stretch) {
    stretch.scaling = model::RotaryScaling::yarn;
    stretch.original_context = rope.positive("original_max_position_embeddings", c.max_positions);
    stretch.factor = rope.get("factor", static_cast<double>(c.max_positions) /
                                            static_cast<double>(stretch.original_context));
    stretch.high_frequency = rope.positive_real("beta_fast", 32);
    stretch.low_frequency = rope.positive_real("beta_slow", 1);
    if (!(stretch.high_frequency > stretch.low_frequency))
        rope.refuse("beta_fast", "more than beta_slow");
    stretch.whole_pairs = rope.get("truncate", true);
    double const weight = rope.get("mscale", 0.0), all = rope.get("mscale_all_dim", 0.0);
    bool const both = weight != 0 && all != 0;
    stretch.amplitude =
        rope.positive_real("attention_factor", both ? yarn_amplitude(stretch.factor, weight) /
                                                          yarn_amplitude(stretch.factor, all)
                                                    : yarn_amplitude(stretch.factor, 1));
}

/// A sample longer than the first context has other frequencies, the long ones. transformers looks
/// at the longest of a batch and gives them to all of it: here it is each sample's own length that
/// decides, so that nothing depends on what else is in a batch.
void read_longrope(Fields& rope, model::Config const& c, std::int64_t first_context, Rope& result) {
    auto const pairs = turned(c, result.share) / 2;
    auto const first = static_cast<double>(first_context);
    double const factor =
        rope.positive_real("factor", static_cast<double>(c.max_positions) / first);
    result.stretch.scaling = model::RotaryScaling::by_frequency;
    result.stretch.factors = rope.positive_reals("short_factor", pairs);
    result.stretch.long_factors = rope.positive_reals("long_factor", pairs);
    result.stretch.original_context = first_context;
    result.stretch.amplitude = rope.positive_real(
        "attention_factor", factor <= 1 ? 1.0 : std::sqrt(1 + std::log(factor) / std::log(first)));
}

/// `base`: where the object does not say it.
Rope read_rope(Fields rope, model::Config const& c, double base, RotaryDefaults const& family,
               std::int64_t first_context = 0) {
    Rope result{.base = rope.positive_real("rope_theta", base), .share = family.share};
    if (family.share_field)
        result.share = rope.positive_real("partial_rotary_factor", family.share);
    else
        rope.require("partial_rotary_factor", 1.0);
    auto const alias = rope.get("type", std::string("default"));
    auto type = rope.get("rope_type", alias);
    if (rope.has("type") && type != alias) rope.refuse("type", type + ", as rope_type says");
    model::RotaryStretch& stretch = result.stretch;
    char const* const legal =
        family.by_frequency ? "default, longrope" : "default, linear, llama3, yarn";
    bool const other_names = type == "su" || type == "yarn"; // of longrope, in Phi-3's first files
    if (family.by_frequency && (type == "longrope" || other_names)) {
        rope.require("original_max_position_embeddings", first_context);
        if (first_context < 2) // its logarithm divides
            rope.refuse("original_max_position_embeddings", "a whole number > 1");
        read_longrope(rope, c, first_context, result);
    } else if (!family.by_frequency && type == "linear") {
        stretch.scaling = model::RotaryScaling::linear;
        stretch.factor = rope.get<double>("factor");
    } else if (!family.by_frequency && type == "llama3") {
        read_llama3(rope, c, stretch);
    } else if (!family.by_frequency && type == "yarn") {
        if (!(result.base > 1)) rope.refuse("rope_theta", "a number > 1"); // its logarithm divides
        read_yarn(rope, c, stretch);
    } else if (type != "default") {
        rope.refuse(rope.has("rope_type") ? "rope_type" : "type", legal);
    }
    // the others do not look at it
    if (type == "default" || type == "linear") rope.ignore({"original_max_position_embeddings"});
    if (!(stretch.factor >= 1)) rope.refuse("factor", "a number >= 1");
    rope.check_all_known();
    return result;
}

void set_rotary(Fields& fields, model::Config& c, Rope const& rope, char const* share_field) {
    c.rotary_base = rope.base;
    c.rotary = rope.stretch;
    if (rope.share == 1) return;
    c.rotary_size = turned(c, rope.share);
    if (c.rotary_size < 2 || c.rotary_size % 2 || c.rotary_size > c.head_size)
        fields.refuse(share_field,
                      fmt::format("a share of the head size {} that is even", c.head_size));
}

} // namespace

void read_rotary(Fields& fields, model::Config& c, RotaryDefaults const& otherwise) {
    c.positions = model::Positions::rotary;
    double const base = fields.positive_real(otherwise.base_field, otherwise.base);
    RotaryDefaults family = otherwise;
    if (otherwise.share_field)
        family.share = fields.positive_real(otherwise.share_field, otherwise.share);
    else
        fields.require("partial_rotary_factor", 1.0);
    std::int64_t const first_context =
        family.by_frequency ? fields.positive("original_max_position_embeddings", 4096) : 0;
    Fields const old = fields.object("rope_scaling"), now = fields.object("rope_parameters");
    Rope const rope = read_rope(old.empty() ? now : old, c, base, family, first_context);
    // transformers 4 reads the outer one, 5 the inner
    if (fields.has(otherwise.base_field) && rope.base != base)
        (old.empty() ? now : old)
            .refuse("rope_theta",
                    fmt::format("{}, as {} beside it says", base, otherwise.base_field));
    if (!old.empty() && !now.empty() &&
        rope.all() != read_rope(now, c, base, family, first_context).all())
        fields.refuse("rope_scaling", "what rope_parameters beside it says, or one of them");
    set_rotary(fields, c, rope,
               otherwise.share_field ? otherwise.share_field : "partial_rotary_factor");
}

void read_layered_rotary(Fields& fields, model::Config& c, LayeredBases const& family) {
    auto const& [base_of_family, local_of_family, local_field, base_field] = family;
    c.positions = model::Positions::rotary;
    double const base = fields.positive_real(base_field, base_of_family);
    double local_base = local_field ? fields.positive_real(local_field, local_of_family) : base;
    Fields const old = fields.object("rope_scaling");
    Fields now = fields.object("rope_parameters");
    if (!old.empty() && !now.empty())
        fields.refuse("rope_scaling", "none, where rope_parameters is given");
    Rope main;
    if (now.empty()) {
        main = read_rope(old, c, base, {});
    } else {
        Fields const full = now.object("full_attention"), sliding = now.object("sliding_attention");
        now.check_all_known();
        main = read_rope(full, c, base, {});
        Rope const local = read_rope(sliding, c, local_base, {});
        if (local.stretch.scaling != model::RotaryScaling::none)
            sliding.refuse("rope_type", "default");
        if (fields.has(base_field) && main.base != base)
            full.refuse("rope_theta", fmt::format("{}, as {} beside it says", base, base_field));
        if (local_field && fields.has(local_field) && local.base != local_base)
            sliding.refuse("rope_theta",
                           fmt::format("{}, as {} beside it says", local_base, local_field));
        local_base = local.base;
    }
    if (!main.stretch.whole_pairs) // transformers looks for it in the outer object
        now.refuse("full_attention", "an object without truncate");
    set_rotary(fields, c, main, "");
    c.local_rotary_base = local_base;
    for (auto const window : c.windows)
        c.layer_rotary.push_back(window > 0 ? model::LayerRotary::local : model::LayerRotary::main);
}

} // namespace trireme::framework::pretrained
