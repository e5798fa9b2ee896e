// All the sizes that a tiny model never reaches, made small at once.
#pragma once
#include <atomic>

#include "cluster/reduce.hpp"
#include "framework/kernels/tiles.hpp"
#include "parallel/budgets.hpp"

namespace trireme::framework {

/// In force for as long as it is alive, in every thread of the process; one at a time. Results are
/// the same to rounding, and runs under small sizes are the same to the bit among themselves
/// wherever runs under the usual ones are.
class SmallSizes {
  public:
    SmallSizes() = default;
    ~SmallSizes() {
        cluster::reduce_tile = tile_;
        auto& t = kernels::tiles;
        t.update = update_;
        t.rows = rows_;
        t.queries = queries_;
        t.lanes = lanes_;
    }
    SmallSizes(SmallSizes const&) = delete;
    SmallSizes& operator=(SmallSizes const&) = delete;

  private:
    parallel::SmallBudgets budgets_;
    std::size_t tile_ = cluster::reduce_tile.exchange(7);
    std::int64_t update_ = kernels::tiles.update.exchange(33),
                 rows_ = kernels::tiles.rows.exchange(5),
                 queries_ = kernels::tiles.queries.exchange(3),
                 lanes_ = kernels::tiles.lanes.exchange(3);
};

} // namespace trireme::framework
