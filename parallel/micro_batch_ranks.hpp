// The rule by which data ranks share the micro-batches of a step: number s belongs to rank s mod d,
// as its (s / d)th.
#pragma once
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace trireme::parallel {

/// Micro-steps that d data ranks need for a step; in the last one some may have no micro-batch.
constexpr std::int64_t micro_steps_of(std::int64_t micro_batches, std::int64_t ranks) {
    return (micro_batches + ranks - 1) / ranks;
}

template <std::integral T>
constexpr T data_rank_of(T micro_batch, T ranks) {
    return micro_batch % ranks;
}

/// Number, in the step, of what `rank` computes in a micro-step.
constexpr std::int64_t micro_batch_in(std::int64_t micro_step, std::int64_t rank,
                                      std::int64_t ranks) {
    return micro_step * ranks + rank;
}

/// Returns the micro-batches of `rank`, in the order of its micro-steps.
template <typename T>
std::vector<T> own_micro_batches(std::vector<T> const& micro_batches, std::int64_t rank,
                                 std::int64_t ranks) {
    std::vector<T> own;
    for (std::int64_t step = 0; micro_batch_in(step, rank, ranks) < std::ssize(micro_batches);
         ++step)
        own.push_back(micro_batches[static_cast<std::size_t>(micro_batch_in(step, rank, ranks))]);
    return own;
}

} // namespace trireme::parallel
