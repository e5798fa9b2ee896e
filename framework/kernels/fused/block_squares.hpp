// Sums of squares of the blocks of many tensors in one launch.
#pragma once
#include <cstdint>

#include "framework/kernels/fused/team.hpp"

namespace trireme::framework::kernels::fused {

/// sums[r] = sum of squares of a block's elements, in float64, of the blocks of all stretches in
/// their order; the last block of a stretch may have fewer. A row of the program is a block.
template <typename T>
struct BlockSquares {
    static constexpr int kMost = 128; ///< a launch takes 4 kB of arguments

    std::int64_t block;
    double* sums = nullptr;
    int count = 0;
    T const* x[kMost] = {};                 ///< starts of stretches,
    std::int64_t n[kMost] = {};             ///< their elements
    std::int64_t first_row[kMost + 1] = {}; ///< and the rows of those before

    static constexpr int kPack = 1, kLanes = 256;
    std::int64_t rows() const { return first_row[count]; }
    std::int64_t columns() const { return block; }
    bool packed() const { return false; }
    template <typename F>
    void each_pointer(F const& f) const {
        f(static_cast<void const*>(sums));
        for (int i = 0; i < count; ++i) f(static_cast<void const*>(x[i]));
    }

    /// Adds a stretch; false where there is no more room.
    bool add(T const* elements, std::int64_t number) {
        if (count == kMost) return false;
        x[count] = elements, n[count] = number;
        first_row[count + 1] = first_row[count] + (number + block - 1) / block;
        return ++count, true;
    }

    template <int V, typename Team>
    TRIREME_BODY void run(Team const& team, std::int64_t row) const {
        int own = 0;
        for (int step = kMost / 2; step > 0; step /= 2)
            if (own + step < count && first_row[own + step] <= row) own += step;
        std::int64_t const begin = (row - first_row[own]) * block,
                           end = begin + block < n[own] ? begin + block : n[own];
        double sum = 0;
        for (std::int64_t i = begin + team.lane(); i < end; i += team.lanes()) {
            double const value = static_cast<double>(number(x[own][i]));
            sum += value * value;
        }
        sum = team.sum(sum);
        if (team.lane() == 0) sums[row] = sum;
    }
};

} // namespace trireme::framework::kernels::fused
