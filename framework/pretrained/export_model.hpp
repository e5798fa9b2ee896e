// Writes parameters as a Hugging Face folder.
#pragma once
#include <ATen/ATen.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "framework/model/config.hpp"
#include "framework/pretrained/hf_tensors.hpp"
#include "framework/pretrained/safetensors_writer.hpp"

namespace trireme::framework::pretrained {

/// Values of a whole parameter by its name, in any floating dtype. Asked once for each, so a
/// checkpoint is never in memory as a whole.
using ParameterValues = std::function<at::Tensor(std::string const& parameter)>;

struct ExportOptions {
    /// auto: each tensor as the model's own folder has it; fp32 | bf16 | fp16
    std::string dtype = "auto";
    /// dtypes by tensor, for auto; none (from scratch): float32
    std::map<std::string, std::string> dtypes;
    /// folders whose tokenizer files are copied; a file of the first goes before those of the
    /// others
    std::vector<std::string> files_from;
    std::int64_t shard_bytes = 5'000'000'000; ///< limit of one file
    /// adds to the folder before it is there; may be null
    std::function<void(std::string const& staging)> finally;
};

/// The dtypes that the tensors of a model have in a folder, by the model's own names for them.
/// Throws InputError.
std::map<std::string, std::string> stored_dtypes(model::Config const& model,
                                                 std::string const& folder);

/// Writes `folder`, which must not exist: config.json, weights, tokenizer files; all of it or
/// nothing. Local; call on one rank. Throws InputError for options that do not fit, JobError unless
/// every element of every tensor is written exactly once.
void export_model(model::Config const& model, ParameterValues const& values,
                  std::string const& folder, ExportOptions const& options);

/// Every part of every tensor to its place. `finish` of the writer says whether that was all.
void write_parts(SafetensorsWriter& writer, std::vector<HfTensor> const& tensors,
                 ParameterValues const& values);

} // namespace trireme::framework::pretrained
