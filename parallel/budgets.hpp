// Sizes that bound memory, and that a small model never reaches. Proofs and tests make them small,
// so that what happens at a bound happens there too.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "cluster/for_now.hpp"
#include "parallel/flat_layout.hpp"

namespace trireme::parallel {

/// Read by every rank of the process; must be the same in all processes of a job, since the calls
/// of a step depend on them.
struct Budgets {
    /// elements of a head's logits that exist at one time
    std::atomic<std::int64_t> logits = std::int64_t{1} << 22;
    /// The bytes of them on the path of a GPU: in bf16 2,048 rows of 262,144 classes, 4,186 of
    /// Llama 3's 128,256, so that products of a chunk fill the device.
    std::atomic<std::int64_t> logits_on_gpu = std::int64_t{1} << 30;
    /// Tokens of a chunk of a divided layer on the path of a GPU: a product of so many fills the
    /// device, and one of the chunks is waited for.
    std::atomic<std::int64_t> divided_rows = 4096;
    /// Units whose whole gradients wait for their reduction at one time.
    std::atomic<std::size_t> reductions = 3;
    /// Elements of an offloaded tensor that are beside the gradient at one time.
    std::atomic<std::int64_t> staged = std::int64_t{1} << 20;
    /// The canonical block, in elements, of which norms are sums and at which shards are cut
    /// (flat_layout.hpp): a multiple of kAlign, and the same from the making of a store to its end.
    std::atomic<std::int64_t> block = kBlock;
};
inline Budgets budgets;

/// Small ones, for as long as one is alive: a chunk of logits is one row, and one of a divided
/// layer a row of each rank, no reduction waits for another, an offloaded tensor of more than 100
/// elements comes in parts, and a tensor of more than 64 has several blocks. One at a time.
struct SmallBudgets {
    cluster::ForNow<std::int64_t> logits{budgets.logits, 1}, on_gpu{budgets.logits_on_gpu, 1},
        divided{budgets.divided_rows, 1};
    cluster::ForNow<std::size_t> reductions{budgets.reductions, 0};
    cluster::ForNow<std::int64_t> staged{budgets.staged, 100}, block{budgets.block, 64};
};

} // namespace trireme::parallel
