// One SHA-256 for all weights of a model.
#pragma once
#include <ATen/ATen.h>

#include <map>
#include <string>
#include <vector>

#include "parallel/mesh.hpp"
#include "parallel/parameter_store.hpp"

namespace trireme::framework::weights {

/// Hashes (name, shape, master bytes) of every tensor in name order; lower-case hex. `specs`: those
/// of the whole model. The same weights give the same hash in every layout. Collective over the
/// world of the mesh.
std::string weights_sha256(std::vector<parallel::ParameterSpec> specs,
                           parallel::ParameterStore const& store, parallel::Mesh const& mesh);

/// Hashes whole tensors by name in the same way, in the dtype of the master weights. Local.
std::string weights_sha256(std::map<std::string, at::Tensor> const& weights);

} // namespace trireme::framework::weights
