#include "framework/kernels/random.hpp"

#include <algorithm>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "cluster/philox.hpp"
#include "framework/kernels/simd.hpp"
#include "framework/kernels/tiles.hpp"

namespace trireme::framework::kernels {

namespace {

constexpr std::uint64_t kDropoutPurpose = 0x64726f706f7574ULL; // "dropout"

/// Philox's multipliers, and what its key grows by in each round.
constexpr std::uint64_t kMultiplyA = 0xD2511F53, kMultiplyB = 0xCD9E8D57;
constexpr std::uint32_t kWeylA = 0x9E3779B9, kWeylB = 0xBB67AE85;

/// The arithmetic of cluster::philox, lane by lane, as the compiler vectorises it.
TRIREME_CLONES void draw_any(BlockCounters const& at, std::uint32_t* words) {
    std::uint32_t w[4][kBlocks];
    for (int l = 0; l < kBlocks; ++l) {
        w[0][l] = at.first + static_cast<std::uint32_t>(l);
        w[1][l] = at.row;
        w[2][l] = static_cast<std::uint32_t>(at.high);
        w[3][l] = static_cast<std::uint32_t>(at.high >> 32);
    }
    auto key_a = static_cast<std::uint32_t>(at.key),
         key_b = static_cast<std::uint32_t>(at.key >> 32);
    for (int round = 0; round < 10; ++round) {
        for (int l = 0; l < kBlocks; ++l) {
            std::uint64_t const a = kMultiplyA * w[0][l], b = kMultiplyB * w[2][l];
            std::uint32_t const x1 = w[1][l], x3 = w[3][l];
            w[0][l] = static_cast<std::uint32_t>(b >> 32) ^ x1 ^ key_a;
            w[1][l] = static_cast<std::uint32_t>(b);
            w[2][l] = static_cast<std::uint32_t>(a >> 32) ^ x3 ^ key_b;
            w[3][l] = static_cast<std::uint32_t>(a);
        }
        key_a += kWeylA;
        key_b += kWeylB;
    }
    for (int l = 0; l < kBlocks; ++l)
        for (int c = 0; c < 4; ++c) words[4 * l + c] = w[c][l];
}

#if defined(__x86_64__)
#define TRIREME_AVX2 __attribute__((target("arch=x86-64-v3")))

/// A lane of 64 bits holds one word, in its lower half, which is all that a product reads: so no
/// product has to be taken apart and put together again, which is what the compiler does.
struct Words {
    __m256i x0, x1, x2, x3;
};
TRIREME_AVX2 TRIREME_INLINE __m256i all(std::uint64_t word) {
    return _mm256_set1_epi64x(static_cast<long long>(word & 0xFFFFFFFF));
}
TRIREME_AVX2 TRIREME_INLINE Words next_round(Words const& w, __m256i key_a, __m256i key_b) {
    __m256i const a = _mm256_mul_epu32(all(kMultiplyA), w.x0),
                  b = _mm256_mul_epu32(all(kMultiplyB), w.x2);
    return {_mm256_srli_epi64(b, 32) ^ w.x1 ^ key_a, b, _mm256_srli_epi64(a, 32) ^ w.x3 ^ key_b, a};
}
/// Lanes hold blocks 0, 2, 1 and 3, so that they lie in order when pairs of words are put together.
TRIREME_AVX2 TRIREME_INLINE void store(Words const& w, std::uint32_t* words) {
    __m256i const low = all(0xFFFFFFFF), first = (w.x0 & low) | _mm256_slli_epi64(w.x1, 32),
                  second = (w.x2 & low) | _mm256_slli_epi64(w.x3, 32);
    auto* const to = reinterpret_cast<__m256i*>(words);
    _mm256_storeu_si256(to, _mm256_unpacklo_epi64(first, second));
    _mm256_storeu_si256(to + 1, _mm256_unpackhi_epi64(first, second));
}

/// 8 blocks at a time: they and the constants fit into 16 registers.
TRIREME_AVX2 void draw_avx2(BlockCounters const& at, std::uint32_t* words) {
    for (int l = 0; l < at.blocks; l += 8) {
        Words near{all(at.first + static_cast<std::uint32_t>(l)) + _mm256_set_epi64x(3, 1, 2, 0),
                   all(at.row), all(at.high), all(at.high >> 32)};
        Words far{near.x0 + all(4), near.x1, near.x2, near.x3};
        std::uint64_t key_a = at.key, key_b = at.key >> 32;
        for (int round = 0; round < 10; ++round, key_a += kWeylA, key_b += kWeylB) {
            near = next_round(near, all(key_a), all(key_b));
            far = next_round(far, all(key_a), all(key_b));
        }
        store(near, words + 4 * l);
        store(far, words + 4 * l + 16);
    }
}
#endif

std::vector<BlockDraw> draws_of_this_processor() {
    std::vector<BlockDraw> found;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("x86-64-v3")) found.push_back({"x86-64-v3", draw_avx2});
#endif
    found.push_back({"any", draw_any});
    return found;
}

/// A row's words below `dropped` drop their elements; the others multiply them by `kept`.
template <typename T>
struct RowDraw {
    std::uint64_t key, high;
    std::uint32_t row, dropped;
    T kept;
    void (*blocks)(BlockCounters const&, std::uint32_t*) = block_draws().front().draw;
    std::int64_t each = 4 * std::min<std::int64_t>(kBlocks, tiles.lanes); ///< elements at a time

    RowDraw(DropoutKey const& k, std::uint64_t h, std::uint32_t r)
        : key(k.key), high(h), row(r),
          dropped(static_cast<std::uint32_t>(std::min(k.probability * 0x1p32, 0x1p32 - 1))),
          kept(static_cast<T>(1.0 / (1.0 - k.probability))) {}
};

/// Factors of elements first to first + 4 * Blocks - 1.
template <int Blocks, typename T>
TRIREME_INLINE void draw_factors(RowDraw<T> const& row, std::int64_t first,
                                 T (&factors)[4 * kBlocks]) {
    std::uint32_t words[4 * kBlocks];
    row.blocks({row.key, row.high, row.row, static_cast<std::uint32_t>(first / 4), Blocks}, words);
    std::uint32_t const dropped = row.dropped;
    T const kept = row.kept;
    for (int i = 0; i < 4 * Blocks; ++i) factors[i] = words[i] < dropped ? T(0) : kept;
}
/// At least the n factors from `first` on; rows of attention are often short.
template <typename T>
TRIREME_INLINE void next_factors(RowDraw<T> const& row, std::int64_t first, std::int64_t n,
                                 T (&factors)[4 * kBlocks]) {
    if (n > 2 * kBlocks)
        draw_factors<kBlocks>(row, first, factors);
    else
        draw_factors<kBlocks / 2>(row, first, factors);
}

template <typename T>
TRIREME_INLINE void factors_part(RowDraw<T> const& row, std::int64_t first, std::int64_t count,
                                 T* factors) {
    T made[4 * kBlocks];
    for (std::int64_t e = 0; e < count; e += row.each) {
        std::int64_t const n = std::min(row.each, count - e);
        next_factors(row, first + e, n, made);
        for (std::int64_t i = 0; i < n; ++i) factors[e + i] = made[i];
    }
}

template <typename T>
TRIREME_INLINE void row_part(RowDraw<T> const& row, std::int64_t width, T const* x,
                             T const* residual, T* y) {
    T made[4 * kBlocks];
    for (std::int64_t e = 0; e < width; e += row.each) {
        std::int64_t const n = std::min(row.each, width - e);
        next_factors(row, e, n, made);
        if (residual)
            for (std::int64_t i = 0; i < n; ++i) y[e + i] = x[e + i] * made[i] + residual[e + i];
        else
            for (std::int64_t i = 0; i < n; ++i) y[e + i] = x[e + i] * made[i];
    }
}

TRIREME_CLONES void row_factors(RowDraw<float> const& d, std::int64_t first, std::int64_t n,
                                float* f) {
    factors_part(d, first, n, f);
}
TRIREME_CLONES void row_factors(RowDraw<double> const& d, std::int64_t first, std::int64_t n,
                                double* f) {
    factors_part(d, first, n, f);
}
TRIREME_CLONES void drop_row(RowDraw<float> const& d, std::int64_t n, float const* x,
                             float const* r, float* y) {
    row_part(d, n, x, r, y);
}
TRIREME_CLONES void drop_row(RowDraw<double> const& d, std::int64_t n, double const* x,
                             double const* r, double* y) {
    row_part(d, n, x, r, y);
}

} // namespace

std::span<BlockDraw const> block_draws() {
    static auto const found = draws_of_this_processor();
    return found;
}

DropoutKey dropout_key(std::uint64_t seed, std::uint64_t step, std::uint64_t site,
                       double probability) {
    return {cluster::philox_key(cluster::philox_key(seed, kDropoutPurpose, site), step),
            probability};
}

template <typename T>
void dropout_factors(DropoutKey const& key, std::uint64_t high, std::uint32_t row,
                     std::int64_t first, std::int64_t count, T* factors) {
    row_factors(RowDraw<T>(key, high, row), first, count, factors);
}

template <typename T>
void dropout_rows(DropoutKey const& key, std::int64_t const* sample, std::int32_t const* position,
                  std::int64_t rows, std::int64_t width, T const* x, T const* residual, T* y) {
#pragma omp parallel for schedule(static)
    for (std::int64_t r = 0; r < rows; ++r)
        drop_row(RowDraw<T>(key, static_cast<std::uint64_t>(sample[r]),
                            static_cast<std::uint32_t>(position[r])),
                 width, x + r * width, residual ? residual + r * width : nullptr, y + r * width);
}

template void dropout_factors(DropoutKey const&, std::uint64_t, std::uint32_t, std::int64_t,
                              std::int64_t, float*);
template void dropout_factors(DropoutKey const&, std::uint64_t, std::uint32_t, std::int64_t,
                              std::int64_t, double*);
template void dropout_rows(DropoutKey const&, std::int64_t const*, std::int32_t const*,
                           std::int64_t, std::int64_t, float const*, float const*, float*);
template void dropout_rows(DropoutKey const&, std::int64_t const*, std::int32_t const*,
                           std::int64_t, std::int64_t, double const*, double const*, double*);

} // namespace trireme::framework::kernels
