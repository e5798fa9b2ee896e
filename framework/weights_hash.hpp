// One SHA-256 for all weights of a model.
#pragma once
#include <string>

#include "parallel/parameter_store.hpp"

namespace trireme::framework {

/// Over (name, shape, master bytes) of every parameter in name order, lower-case hex. The same weights give the same
/// hash in every layout. Local: with ZeRO 0 every rank holds all master weights.
std::string weights_sha256(parallel::ParameterStore const& store);

} // namespace trireme::framework
