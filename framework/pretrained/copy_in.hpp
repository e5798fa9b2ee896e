// Values of a file's tensors into the parameters of this rank.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "framework/pretrained/hf_tensors.hpp"
#include "framework/pretrained/safetensors.hpp"
#include "parallel/parameter_store.hpp"

namespace trireme::framework::pretrained {

/// Reads into each parameter of `tensor` that is on this rank its own part alone, and of it what
/// the rank keeps. `rows`, if not empty: which row of the file each row of the tensor is. Throws
/// InputError naming file and tensor for values that are not finite. Local.
void copy_in(HfTensor const& tensor, std::string const& name, TensorEntry const& entry,
             std::vector<std::int64_t> const& rows, parallel::ParameterStore& store);

} // namespace trireme::framework::pretrained
