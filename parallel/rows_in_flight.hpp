// Rows of a sequence that is divided over ranks, under way between them, and the chunks in which
// they travel (parallel/divided_linear.hpp, [Note: divided products]).
#pragma once
#include <ATen/ATen.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "cluster/communicator.hpp"
#include "parallel/budgets.hpp"
#include "parallel/compute_path.hpp"
#include "parallel/tensor_buffer.hpp"

namespace trireme::parallel {

/// A collective of rows that is under way, and the memory that it reads and writes.
class Flight {
  public:
    Flight() = default;
    static Flight gather(at::Tensor const& own, at::Tensor const& all,
                         cluster::Communicator& group) {
        at::Tensor const in = own.contiguous();
        return {in, all, group.all_gather(buffer_of(in), buffer_of(all), "sequence")};
    }
    static Flight sum(at::Tensor const& parts, at::Tensor const& own,
                      cluster::Communicator& group) {
        return {parts, own,
                group.reduce_scatter(buffer_of(parts), buffer_of(own), cluster::ReduceOp::sum,
                                     "sequence")};
    }
    /// Returns the result, which what is computed from now on may read.
    at::Tensor land() {
        finish(work_, out_);
        in_.reset();
        return std::move(out_);
    }

  private:
    Flight(at::Tensor in, at::Tensor out, cluster::Work work)
        : in_(std::move(in)), out_(std::move(out)), work_(std::move(work)) {}

    at::Tensor in_, out_;
    cluster::Work work_;
};

inline Flight gather_all(at::Tensor const& own, cluster::Communicator& group) {
    return Flight::gather(own, own.new_empty({own.size(0) * group.size(), own.size(1)}), group);
}

inline Flight add_all(at::Tensor const& parts, cluster::Communicator& group) {
    return Flight::sum(parts, parts.new_empty({parts.size(0) / group.size(), parts.size(1)}),
                       group);
}

/// Rows [first, first + count) of each rank's stretch of the sequence.
struct Chunk {
    std::int64_t first, count;
};

/// Cuts the `own` rows of each of `ranks` stretches, of which this rank has `x` or will have.
inline std::vector<Chunk> chunks_of(at::Tensor const& x, std::int64_t own, int ranks) {
    std::int64_t const filled = own * ranks / budgets.divided_rows,
                       n = composed(x)
                               ? std::clamp<std::int64_t>(filled, 1, std::max<std::int64_t>(own, 1))
                               : 1;
    std::vector<Chunk> chunks;
    for (std::int64_t i = 0; i < n; ++i)
        chunks.push_back({i * own / n, (i + 1) * own / n - i * own / n});
    return chunks;
}

/// Views the rows of a chunk, [t, count, N], in x[T, N], which holds the stretches of `ranks`.
inline at::Tensor rows_of(at::Tensor const& x, Chunk const& chunk, int ranks) {
    return x.view({ranks, -1, x.size(1)}).narrow(1, chunk.first, chunk.count);
}

/// Views the rows of a chunk, [t count, N], in a tensor where chunks lie one after another, as they
/// are gathered.
inline at::Tensor rows_in_turn(at::Tensor const& x, Chunk const& chunk, int ranks) {
    return x.narrow(0, chunk.first * ranks, chunk.count * ranks);
}

/// Copies x[T, N] so that its chunks lie one after another; x itself where there is one.
inline at::Tensor in_turn(at::Tensor const& x, std::vector<Chunk> const& chunks, int ranks) {
    if (chunks.size() == 1) return x;
    at::Tensor const y = at::empty_like(x);
    for (auto const& chunk : chunks)
        rows_in_turn(y, chunk, ranks)
            .view({ranks, chunk.count, x.size(1)})
            .copy_(rows_of(x, chunk, ranks));
    return y;
}

} // namespace trireme::parallel
