// Sums on the host, for back ends that fix the order of a sum themselves.
#pragma once
#include "cluster/buffer.hpp"
#include "cluster/communicator.hpp"

namespace trireme::cluster {

/// out[i] = pieces[0][i] op pieces[1][i] op ..., from left to right; `pieces` holds n pieces of out.count, packed.
/// bf16 accumulates in float32 and is rounded once. `out` may be the first piece.
void reduce_pieces(Buffer const& pieces, std::size_t n, Buffer const& out, ReduceOp op);

} // namespace trireme::cluster
