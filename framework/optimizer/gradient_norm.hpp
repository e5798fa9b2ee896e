// The global gradient norm, one number in every layout.
#pragma once
#include "parallel/mesh.hpp"
#include "parallel/parameter_store.hpp"

namespace trireme::framework {

/// sqrt of the sum over trainable parameters of their squares; every element of the model counts once, whatever ranks
/// hold copies of it. In bitwise mode (a store with separate slots) sums of squares are float64 per canonical block of
/// each tensor and added in (name, tensor rank, block) order by all, so the result does not depend on what lies on
/// which data rank or stage. Collective over the world of the mesh; the same on every rank.
double gradient_norm(parallel::ParameterStore const& store, parallel::Mesh const& mesh);

} // namespace trireme::framework
