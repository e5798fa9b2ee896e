// All the sizes that a tiny model never reaches, made small at once.
#pragma once
#include "cluster/for_now.hpp"
#include "cluster/reduce.hpp"
#include "data/pieces.hpp"
#include "framework/checkpoint/pieces.hpp"
#include "framework/kernels/tiles.hpp"
#include "framework/pretrained/pieces.hpp"
#include "parallel/budgets.hpp"

namespace trireme::framework {

/// In force for as long as it is alive, in every thread of the process; one at a time. Results are
/// the same to rounding, and runs under small sizes are the same to the bit among themselves
/// wherever runs under the usual ones are.
class SmallSizes {
    parallel::SmallBudgets budgets_;
    data::SmallPieces data_;
    cluster::ForNow<std::size_t> reduced_{cluster::reduce_tile, 7};
    cluster::ForNow<std::int64_t> update_{kernels::tiles.update, 33}, rows_{kernels::tiles.rows, 5},
        queries_{kernels::tiles.queries, 3}, lanes_{kernels::tiles.lanes, 3};
    checkpoint::SmallPieces checkpoints_;
    pretrained::SmallPieces folders_;
};

} // namespace trireme::framework
