// Values of a file's tensors into the parameters of this rank.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "framework/pretrained/hf_tensors.hpp"
#include "framework/pretrained/safetensors_values.hpp"
#include "parallel/parameter_store.hpp"

namespace trireme::framework::pretrained {

/// Reads into each parameter of `tensor` that is on this rank its own part alone, and of it what
/// the rank keeps. `rows`, if not empty: which row of the file each row of the tensor is.
///
/// [Note: rows of added tokens] Where the tensor has more rows than the file, those behind are the
/// mean of the file's rows, column by column, and normal numbers around it of sqrt(1e-9) times the
/// column's standard deviation, or 0 where a row is one number, of a bias beside a tied table: what
/// transformers' resize_token_embeddings draws from the normal distribution that has the mean and
/// 1e-9 times the covariance of the rows, but for the covariances between columns. Ours are keyed
/// by (seed, tensor, element): any layout has the same.
///
/// Throws InputError naming file and tensor for values that are not finite. Local.
void copy_in(HfTensor const& tensor, std::string const& name, TensorEntry const& entry,
             std::vector<std::int64_t> const& rows, std::uint64_t seed,
             parallel::ParameterStore& store);

} // namespace trireme::framework::pretrained
