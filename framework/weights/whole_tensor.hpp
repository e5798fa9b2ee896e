// A tensor put together from what the ranks of a mesh keep of it.
#pragma once
#include <ATen/ATen.h>

#include <cstdint>
#include <functional>
#include <string>

#include "parallel/mesh.hpp"
#include "parallel/parameter_store.hpp"

namespace trireme::framework::weights {

enum class Kept : std::uint8_t { weight, gradient, moment1, moment2, average };

/// Calls f(run, values) for each run of the parameter that this rank answers for: its part of the
/// flat buffer, if it counts the slice and owns the unit. Over all ranks of a mesh every element of
/// a global tensor is met exactly once. `values`: [run.count], a view. Local.
void for_each_answered(parallel::ParameterStore const& store, parallel::Parameter const& parameter,
                       Kept what,
                       std::function<void(parallel::Run const&, at::Tensor const&)> const& f);

/// Calls `f` for all that this rank keeps, including copies of what other ranks keep. A tied copy
/// without optimizer state has only weights. Local.
void for_each_kept(parallel::Parameter const& parameter, Kept what,
                   std::function<void(parallel::Run const&, at::Tensor const&)> const& f);

/// Copies `whole`, the global tensor of the parameter, in any dtype and in host memory, to wherever
/// this rank keeps it, copies of what other ranks keep included. What computes is renewed by
/// parallel::WeightGatherer. Local.
void put_whole(parallel::Parameter const& parameter, Kept what, at::Tensor const& whole);

/// The global tensor of `spec`, of the master's dtype, on every rank. `store` need not hold the
/// parameter (pipeline stages). Collective over the world of the mesh. Throws JobError if an
/// element comes from no rank or from two.
at::Tensor whole_tensor(parallel::ParameterSpec const& spec, parallel::ParameterStore const& store,
                        parallel::Mesh const& mesh, Kept what);

} // namespace trireme::framework::weights
