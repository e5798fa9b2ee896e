// Values of tensors in safetensors files, as tensors of libtorch.
#pragma once
#include <ATen/ATen.h>

#include <string>

#include "framework/pretrained/safetensors.hpp"
#include "framework/storage/rectangles.hpp"

namespace trireme::framework::pretrained {

/// Returns the format's name of a dtype. Throws JobError.
std::string dtype_name(at::ScalarType type);
/// The dtype that the format calls `name`, for tensor `tensor`. Throws InputError for one that no
/// weight has.
at::ScalarType dtype_of_name(std::string const& tensor, std::string const& name);
/// The dtype of a weight. Throws InputError for one that is not a floating number.
at::ScalarType weight_dtype(std::string const& name, TensorEntry const& entry);
/// Reads a tensor of one or two dimensions, or a rectangle of it, in the dtype it has; one without
/// dimensions as [1]. For a rectangle only its own bytes are read. Local. Throws InputError for a
/// dtype that is not a floating number.
at::Tensor read_tensor(std::string const& name, TensorEntry const& entry,
                       storage::Rectangle const& rectangle);
at::Tensor read_tensor(std::string const& name, TensorEntry const& entry);

} // namespace trireme::framework::pretrained
