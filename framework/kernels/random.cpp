#include "framework/kernels/random.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "cluster/philox.hpp"
#include "framework/kernels/simd.hpp"
#include "framework/kernels/tiles.hpp"

namespace trireme::framework::kernels {

namespace {

constexpr std::uint64_t kDropoutPurpose = 0x64726f706f7574ULL; // "dropout"
/// Philox blocks computed side by side, one per lane
constexpr int kBlocks = 16;

/// Words of blocks (row << 32 | first .. first + 15, high), lane by lane: the arithmetic of
/// cluster::philox in lanes.
TRIREME_INLINE void philox_lanes(std::uint64_t key, std::uint64_t high, std::uint32_t row,
                                 std::uint32_t first, std::uint32_t (&w)[4][kBlocks]) {
    for (int l = 0; l < kBlocks; ++l) {
        w[0][l] = first + static_cast<std::uint32_t>(l);
        w[1][l] = row;
        w[2][l] = static_cast<std::uint32_t>(high);
        w[3][l] = static_cast<std::uint32_t>(high >> 32);
    }
    auto key_a = static_cast<std::uint32_t>(key), key_b = static_cast<std::uint32_t>(key >> 32);
    for (int round = 0; round < 10; ++round) {
        for (int l = 0; l < kBlocks; ++l) {
            std::uint64_t const a = std::uint64_t{0xD2511F53} * w[0][l],
                                b = std::uint64_t{0xCD9E8D57} * w[2][l];
            std::uint32_t const x1 = w[1][l], x3 = w[3][l];
            w[0][l] = static_cast<std::uint32_t>(b >> 32) ^ x1 ^ key_a;
            w[1][l] = static_cast<std::uint32_t>(b);
            w[2][l] = static_cast<std::uint32_t>(a >> 32) ^ x3 ^ key_b;
            w[3][l] = static_cast<std::uint32_t>(a);
        }
        key_a += 0x9E3779B9;
        key_b += 0xBB67AE85;
    }
}

TRIREME_CLONES void draw(std::uint64_t key, std::uint64_t high, std::uint32_t row,
                         std::int64_t first, std::int64_t count, std::uint32_t* words) {
    std::uint32_t w[4][kBlocks];
    std::int64_t const each = 4 * std::min<std::int64_t>(kBlocks, tiles.lanes);
    for (std::int64_t e = 0; e < count; e += each) {
        philox_lanes(key, high, row, static_cast<std::uint32_t>((first + e) / 4), w);
        std::int64_t const n = std::min(each, count - e);
        for (std::int64_t i = 0; i < n; ++i) words[e + i] = w[i % 4][i / 4];
    }
}

} // namespace

DropoutKey dropout_key(std::uint64_t seed, std::uint64_t step, std::uint64_t site,
                       double probability) {
    return {cluster::philox_key(cluster::philox_key(seed, kDropoutPurpose, site), step),
            probability};
}

template <typename T>
void dropout_factors(DropoutKey const& key, std::uint64_t high, std::uint32_t row,
                     std::int64_t first, std::int64_t count, T* factors) {
    static thread_local std::vector<std::uint32_t> words;
    words.resize(static_cast<std::size_t>(count));
    draw(key.key, high, row, first, count, words.data());
    auto const threshold =
        static_cast<std::uint32_t>(std::min(key.probability * 0x1p32, 0x1p32 - 1));
    T const kept = static_cast<T>(1.0 / (1.0 - key.probability));
    for (std::int64_t i = 0; i < count; ++i)
        factors[i] = words[static_cast<std::size_t>(i)] < threshold ? T(0) : kept;
}

template <typename T>
void dropout_rows(DropoutKey const& key, std::int64_t const* sample, std::int32_t const* position,
                  std::int64_t rows, std::int64_t width, T const* x, T* y) {
#pragma omp parallel for schedule(static)
    for (std::int64_t r = 0; r < rows; ++r) {
        static thread_local std::vector<T> factors;
        factors.resize(static_cast<std::size_t>(width));
        dropout_factors(key, static_cast<std::uint64_t>(sample[r]),
                        static_cast<std::uint32_t>(position[r]), 0, width, factors.data());
        for (std::int64_t d = 0; d < width; ++d)
            y[r * width + d] = x[r * width + d] * factors[static_cast<std::size_t>(d)];
    }
}

template void dropout_factors(DropoutKey const&, std::uint64_t, std::uint32_t, std::int64_t,
                              std::int64_t, float*);
template void dropout_factors(DropoutKey const&, std::uint64_t, std::uint32_t, std::int64_t,
                              std::int64_t, double*);
template void dropout_rows(DropoutKey const&, std::int64_t const*, std::int32_t const*,
                           std::int64_t, std::int64_t, float const*, float*);
template void dropout_rows(DropoutKey const&, std::int64_t const*, std::int32_t const*,
                           std::int64_t, std::int64_t, double const*, double*);

} // namespace trireme::framework::kernels
