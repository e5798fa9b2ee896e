// Files of named tensors (github.com/huggingface/safetensors, "Format"): 8 bytes of header length,
// a JSON header, data.
#pragma once
#include <ATen/ATen.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "framework/storage/rectangles.hpp"

namespace trireme::framework::pretrained {

struct TensorEntry {
    std::string file;  ///< path of the file it lies in
    std::string dtype; ///< F64, F32, F16, BF16, ...
    std::vector<std::int64_t> shape;
    std::int64_t offset = 0, bytes = 0; ///< in the file
};

/// The header of one file, checked whole: names once, no overlap, no hole, nothing outside the
/// file. Throws InputError.
std::map<std::string, TensorEntry> read_safetensors_header(std::string const& path);
/// All tensors of a folder: model.safetensors, or the shards of model.safetensors.index.json.
/// Throws InputError.
std::map<std::string, TensorEntry> find_tensors(std::string const& folder);
/// Returns the format's name of a dtype. Throws JobError.
std::string dtype_name(at::ScalarType type);
/// The dtype that the format calls `name`, for tensor `tensor`. Throws InputError for one that no
/// weight has.
at::ScalarType dtype_of_name(std::string const& tensor, std::string const& name);
/// The dtype of a weight. Throws InputError for one that is not a floating number.
at::ScalarType weight_dtype(std::string const& name, TensorEntry const& entry);
/// Reads a tensor of one or two dimensions, or a rectangle of it, in the dtype it has. For a
/// rectangle only its own bytes are read. Local. Throws InputError for a dtype that is not a
/// floating number.
at::Tensor read_tensor(std::string const& name, TensorEntry const& entry,
                       storage::Rectangle const& rectangle);
at::Tensor read_tensor(std::string const& name, TensorEntry const& entry);

} // namespace trireme::framework::pretrained
