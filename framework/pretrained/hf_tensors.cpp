#include "framework/pretrained/hf_tensors.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "cluster/error.hpp"
#include "framework/model/layer_names.hpp"
#include "framework/model/ops.hpp"
#include "framework/model/transformer_stage.hpp"
#include "framework/pretrained/safetensors_values.hpp"
#include "framework/storage/positioned_file.hpp"

namespace trireme::framework::pretrained {

namespace {

bool is_mask(std::string const& name) {
    return name.ends_with(".attn.bias") || name.ends_with(".attention.bias");
}
bool is_masked_score(std::string const& name) {
    return name.ends_with(".attn.masked_bias") || name.ends_with(".attention.masked_bias");
}
bool is_frequency(std::string const& name) {
    return name.ends_with("rotary_emb.inv_freq");
}

/// Reads a buffer, which may have any shape and dtype, unlike a weight.
at::Tensor read_whole(std::string const& name, TensorEntry const& entry) {
    at::Tensor const out = at::empty(entry.shape, dtype_of_name(name, entry.dtype));
    storage::PositionedFile::to_read(entry.file)
        .read(out.mutable_data_ptr(), entry.offset, entry.bytes);
    return out;
}

/// Radians per position of each pair, [head_size / 2], float64.
at::Tensor frequencies(model::Config model) {
    model.max_positions = 2; // the angle of position 1, which is 1 at most
    model.rotary.amplitude = 1;
    return model::rotary_table(model, at::kDouble).sine[1].asin();
}

bool is_close(at::Tensor const& values, at::Tensor const& expected) {
    double const rounding = values.scalar_type() == at::kBFloat16 ? 0x1p-8
                            : values.scalar_type() == at::kHalf   ? 0x1p-10
                                                                  : 1e-5;
    constexpr double kSmallestHalf = 0x1p-24; // below it a half has nothing
    return values.sizes() == expected.sizes() &&
           at::allclose(values.to(at::kDouble), expected, rounding,
                        values.scalar_type() == at::kHalf ? kSmallestHalf : 0);
}

/// A stretch of frequencies was once a division of positions, and the buffer without it.
bool are_frequencies(model::Config model, at::Tensor const& values) {
    if (is_close(values, frequencies(model))) return true;
    model.rotary.scaling = model::RotaryScaling::none;
    return is_close(values, frequencies(model));
}

/// 1 where a token may look, 0 above the diagonal; [1, 1, positions, positions].
bool is_causal_mask(at::Tensor const& values) {
    if (values.dim() != 4 || values.size(0) != 1 || values.size(1) != 1 ||
        values.size(2) != values.size(3))
        return false;
    return at::equal(values[0][0].to(at::kBool), at::ones(values[0][0].sizes(), at::kBool).tril());
}

bool are_counted(at::Tensor const& values) {
    return !at::isFloatingType(values.scalar_type()) &&
           at::equal(values.flatten().to(at::kLong), at::arange(values.numel(), at::kLong));
}

} // namespace

storage::Rectangle rectangle_of(HfTensor const& tensor, HfPart const& part) {
    storage::Rectangle r{storage::Shape(tensor.shape.size()), tensor.shape};
    r.start.at(part.dim) = part.first;
    r.count.at(part.dim) = part.count;
    return r;
}

at::Tensor values_of(HfPart const& part, at::Tensor const& parameter) {
    return parameter.narrow(static_cast<std::int64_t>(part.dim), part.from, part.count);
}

namespace {

/// Queries, keys and values that lie head by head: the places of the three change with each head.
void divide_by_head(HfTensor& tensor, std::int64_t head_size) {
    std::vector<HfPart> parts;
    auto const kinds = std::ssize(tensor.parts);
    for (std::int64_t kind = 0; kind < kinds; ++kind) {
        HfPart const& whole = tensor.parts[static_cast<std::size_t>(kind)];
        for (std::int64_t from = 0; from < whole.count; from += head_size)
            parts.push_back(
                {whole.parameter, whole.dim, from * kinds + kind * head_size, head_size, from});
    }
    tensor.parts = std::move(parts);
}

} // namespace

std::vector<HfTensor> hf_tensors(model::Config const& config) {
    std::vector<HfTensor> tensors;
    for (auto const& spec : model::parameter_specs(config)) {
        std::string const name = model::stored_name(config, spec.name);
        // Outputs of a fused layer lie side by side, in whichever dimension they are.
        std::size_t const dim = spec.input_major ? 1 : 0;
        auto found = std::ranges::find(tensors, name, &HfTensor::name);
        if (found == tensors.end()) {
            tensors.push_back(
                {name, spec.shape, {{spec.name, dim, 0, spec.shape[dim]}}, spec.scalar});
            continue;
        }
        found->parts.push_back({spec.name, dim, found->shape[dim], spec.shape[dim]});
        found->shape[dim] += spec.shape[dim];
    }
    if (config.fused_by_head)
        for (auto& tensor : tensors)
            if (tensor.parts.size() == 3) divide_by_head(tensor, config.head_size);
    return tensors;
}

bool is_buffer(model::Config const& model, std::string const& name) {
    bool const had_masks =
        model.family == model::Family::gpt2 || model.family == model::Family::gpt_neox;
    return (had_masks && (is_mask(name) || is_masked_score(name))) ||
           (model.positions == model::Positions::rotary && is_frequency(name)) ||
           (model.positions == model::Positions::learned &&
            name.ends_with("embeddings.position_ids"));
}

void check_buffer(model::Config const& model, std::string const& name, TensorEntry const& entry) {
    at::Tensor const values = read_whole(name, entry);
    auto const refuse = [&](std::string const& why) {
        throw cluster::InputError(fmt::format("{}: {}: {}", entry.file, name, why));
    };
    if (is_frequency(name) && !are_frequencies(model, values))
        refuse(fmt::format("other frequencies than rope_theta {} of config.json gives, and those "
                           "alone are computed; legal: the rope_theta that the weights were "
                           "trained with, or a file without it",
                           model.rotary_base));
    if (is_mask(name) && !is_causal_mask(values))
        refuse("no causal mask, and no other mask is computed; legal: 1 on and below the diagonal "
               "and 0 "
               "above, or a file "
               "without it");
    constexpr double kLeast = -1e4; // whose exponential is 0 beside any other score
    if (is_masked_score(name) &&
        !(values.numel() == 1 && values.to(at::kDouble).item<double>() <= kLeast))
        refuse("the score of hidden tokens is not low enough to hide them; legal: -10000 or less, "
               "or a file "
               "without it");
    if (name.ends_with("position_ids") && !are_counted(values))
        refuse(
            "other positions than 0, 1, 2, ..., and those alone are computed; legal: those, or a "
            "file without it");
}

} // namespace trireme::framework::pretrained
