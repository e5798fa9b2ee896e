// Dropout masks as pure functions of what they fall on. A mask is never stored: the backward pass
// draws it again.
#pragma once
#include <cstdint>
#include <span>

namespace trireme::framework::kernels {

/// Names a stream of random numbers: one for all elements of one dropout layer in one step.
struct DropoutKey {
    std::uint64_t key = 0;    ///< derived from (seed, step, site)
    double probability = 0.0; ///< probability of dropping, with resolution 2^-32
};
DropoutKey dropout_key(std::uint64_t seed, std::uint64_t step, std::uint64_t site,
                       double probability);

/// Philox blocks that are drawn at a time.
inline constexpr int kBlocks = 16;
/// Counters (low = row << 32 | first, high) of a block, and of those whose `first` follows.
struct BlockCounters {
    std::uint64_t key, high;
    std::uint32_t row, first;
    int blocks = kBlocks; ///< asked for
};
/// One way to draw the words of blocks, four of each, in order. There is room for those of 16, of
/// which it writes at least what was asked for.
struct BlockDraw {
    char const* instructions; ///< "x86-64-v3", ...
    void (*draw)(BlockCounters const& counters, std::uint32_t* words);
};
/// Those that this processor can run, the one that dropout takes first.
std::span<BlockDraw const> block_draws();

/// factors[i] = 0 or 1 / (1 - p) for elements first + i, 0 <= i < count, of row (high, row); first
/// is a multiple of 4. Element e takes word e mod 4 of the Philox block with counter (low = row <<
/// 32 | e / 4, high).
template <typename T>
void dropout_factors(DropoutKey const& key, std::uint64_t high, std::uint32_t row,
                     std::int64_t first, std::int64_t count, T* factors);

/// y[r, :] = x[r, :] * factors + residual[r, :], where row r is token `position[r]` of sample
/// `sample[r]`. x, and the residual if there is one, may be y.
template <typename T>
void dropout_rows(DropoutKey const& key, std::int64_t const* sample, std::int32_t const* position,
                  std::int64_t rows, std::int64_t width, T const* x, T const* residual, T* y);

} // namespace trireme::framework::kernels
