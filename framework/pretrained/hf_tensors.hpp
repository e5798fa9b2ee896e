// How the tensors of a Hugging Face folder are made of parameters: the one description that import
// and export share.
#pragma once
#include <ATen/ATen.h>

#include <cstdint>
#include <string>
#include <vector>

#include "framework/model/config.hpp"
#include "framework/storage/rectangles.hpp"

namespace trireme::framework::pretrained {

struct TensorEntry;

/// Indices [from, from + count) of dimension `dim` of a parameter, as indices [first, first +
/// count) of that of the tensor. A parameter is one part, or one for each head where a folder has
/// queries, keys and values head by head.
struct HfPart {
    std::string parameter;
    std::size_t dim = 0;
    std::int64_t first = 0, count = 0, from = 0;
};

/// A tensor of one or two dimensions. Most are one parameter each; GPT-2's c_attn is query, key and
/// value side by side.
struct HfTensor {
    std::string name;
    storage::Shape shape;
    std::vector<HfPart> parts; ///< parameter by parameter, together the whole of the tensor
    bool scalar = false;       ///< shape [1] here, none in files; never trained
};

/// Returns the rectangle of the tensor that the part takes.
storage::Rectangle rectangle_of(HfTensor const& tensor, HfPart const& part);

/// Returns the values of the part, of those of its parameter: a view.
at::Tensor values_of(HfPart const& part, at::Tensor const& parameter);

/// Every tensor that the model with its head consists of, each once, in model order; tied ones
/// once. Pure.
std::vector<HfTensor> hf_tensors(model::Config const& config);

/// True for the name of a buffer that older versions of transformers saved although config.json
/// gives it: a mask, positions, frequencies.
bool is_buffer(model::Config const& model, std::string const& name);
/// Reads it and compares it with what config.json gives, which alone is computed with. Local.
/// Throws InputError if they differ by more than the rounding of its dtype: then one of the two is
/// not what the weights were trained with.
void check_buffer(model::Config const& model, std::string const& name, TensorEntry const& entry);

} // namespace trireme::framework::pretrained
