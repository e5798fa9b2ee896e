// Files of named tensors (github.com/huggingface/safetensors, "Format"): 8 bytes of header length,
// a JSON header, data.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

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

} // namespace trireme::framework::pretrained
