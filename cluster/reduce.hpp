// Sums on the host, for back ends that fix the order of a sum themselves.
#pragma once
#include <atomic>
#include <cstddef>
#include <vector>

#include "cluster/buffer.hpp"
#include "cluster/communicator.hpp"

namespace trireme::cluster {

/// Elements that are summed while they are in the first-level cache; of no influence on the result.
/// Proofs and tests make it small.
inline std::atomic<std::size_t> reduce_tile = 2048;

/// out[i] = pieces[0][i] op pieces[1][i] op ..., from left to right; `pieces` holds n pieces of
/// out.count, packed. bf16 accumulates in float32 and is rounded once. `out` may be the first
/// piece.
void reduce_pieces(Buffer const& pieces, std::size_t n, Buffer const& out, ReduceOp op);
/// The same of pieces that lie apart, each of out.count elements; `out` may be any of them.
void reduce_pieces(std::vector<void const*> const& pieces, Buffer const& out, ReduceOp op);

} // namespace trireme::cluster
