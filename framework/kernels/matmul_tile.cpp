#include "framework/kernels/matmul_tile.hpp"

#include <cstring>
#include <vector>

#include "framework/kernels/simd.hpp"

namespace trireme::framework::kernels {

namespace {

/// A vector of as many bytes as a register has: one that is wider lives in memory, and each
/// multiply-add then costs some twenty times as much.
template <typename T, int Bytes>
struct Register;
template <int Bytes>
struct Register<float, Bytes> {
    typedef float type __attribute__((vector_size(Bytes)));
};
template <int Bytes>
struct Register<double, Bytes> {
    typedef double type __attribute__((vector_size(Bytes)));
};

/// How many sums are computed at a time: M rows by N registers of columns. They, a row of B and an
/// element of A fit into the registers.
template <int Bytes_, int M_, int N_>
struct Tile {
    static constexpr int Bytes = Bytes_, M = M_, N = N_;
    using Half = Tile<Bytes, M / 2, N>;
    using Narrow = Tile<Bytes, M, 1>;
    template <typename T>
    using Vector = typename Register<T, Bytes>::type;
    template <typename T>
    static constexpr std::int64_t lanes = Bytes / static_cast<std::int64_t>(sizeof(T));
};

template <typename T>
TRIREME_INLINE Operands<T> at(Operands<T> const& o, std::int64_t row, std::int64_t column) {
    return {o.depth,
            {o.a.data + row * o.a.row, o.a.row, o.a.column},
            {o.b.data + column, o.b.row},
            {o.c.data + row * o.c.row + column, o.c.row},
            o.add};
}

template <typename Tile, typename T>
TRIREME_INLINE void tile(Operands<T> const& o) {
    using Vector = typename Tile::template Vector<T>;
    constexpr std::int64_t lanes = Tile::template lanes<T>;
    Vector sum[Tile::M][Tile::N];
#pragma GCC unroll 8
    for (int i = 0; i < Tile::M; ++i)
#pragma GCC unroll 4
        for (int j = 0; j < Tile::N; ++j) {
            if (o.add)
                std::memcpy(&sum[i][j], o.c.data + i * o.c.row + j * lanes, sizeof(Vector));
            else
                sum[i][j] = Vector{};
        }
    for (std::int64_t k = 0; k < o.depth; ++k) {
        Vector right[Tile::N];
#pragma GCC unroll 4
        for (int j = 0; j < Tile::N; ++j)
            std::memcpy(&right[j], o.b.data + k * o.b.row + j * lanes, sizeof(Vector));
#pragma GCC unroll 8
        for (int i = 0; i < Tile::M; ++i) {
            T const left = o.a.data[i * o.a.row + k * o.a.column];
#pragma GCC unroll 4
            for (int j = 0; j < Tile::N; ++j) sum[i][j] += left * right[j];
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < Tile::M; ++i)
#pragma GCC unroll 4
        for (int j = 0; j < Tile::N; ++j)
            std::memcpy(o.c.data + i * o.c.row + j * lanes, &sum[i][j], sizeof(Vector));
}

template <typename Tile, typename T>
TRIREME_INLINE void column_of_tiles(std::int64_t rows, Operands<T> const& o) {
    std::int64_t i = 0;
    for (; i + Tile::M <= rows; i += Tile::M) tile<Tile>(at(o, i, 0));
    if constexpr (Tile::M > 1) {
        if (i < rows) column_of_tiles<typename Tile::Half>(rows - i, at(o, i, 0));
    }
}

template <typename Tile, typename T>
TRIREME_INLINE void all_tiles(std::int64_t rows, std::int64_t columns, Operands<T> const& o) {
    constexpr std::int64_t lanes = Tile::template lanes<T>;
    std::int64_t j = 0;
    for (; j + Tile::N * lanes <= columns; j += Tile::N * lanes)
        column_of_tiles<Tile>(rows, at(o, 0, j));
    if constexpr (Tile::N * Tile::Bytes > 64)
        for (; j < columns; j += lanes) column_of_tiles<typename Tile::Narrow>(rows, at(o, 0, j));
}

#if defined(__x86_64__)
template <typename T> // 32 registers of 64 bytes
__attribute__((target("arch=x86-64-v4"))) void with_avx512(std::int64_t rows, std::int64_t columns,
                                                           Operands<T> const& o) {
    all_tiles<Tile<64, 8, 2>>(rows, columns, o);
}
template <typename T> // 16 registers of 32 bytes
__attribute__((target("arch=x86-64-v3"))) void with_avx2(std::int64_t rows, std::int64_t columns,
                                                         Operands<T> const& o) {
    all_tiles<Tile<32, 6, 2>>(rows, columns, o);
}
#endif
template <typename T> // at least 16 registers of 16 bytes
void with_any(std::int64_t rows, std::int64_t columns, Operands<T> const& o) {
    all_tiles<Tile<16, 4, 2>>(rows, columns, o);
}

template <typename T>
std::vector<ProductKernel<T>> kernels_of_this_processor() {
    std::vector<ProductKernel<T>> found;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("x86-64-v4")) found.push_back({"x86-64-v4", true, with_avx512<T>});
    if (__builtin_cpu_supports("x86-64-v3")) found.push_back({"x86-64-v3", true, with_avx2<T>});
    found.push_back({"x86-64", false, with_any<T>});
#elif defined(__aarch64__)
    found.push_back({"aarch64", true, with_any<T>});
#else
    found.push_back({"any", false, with_any<T>});
#endif
    return found;
}

} // namespace

template <typename T>
std::span<ProductKernel<T> const> product_kernels() {
    static auto const found = kernels_of_this_processor<T>();
    return found;
}

template <typename T>
void product(std::int64_t rows, std::int64_t columns, Operands<T> const& operands) {
    product_kernels<T>().front().compute(rows, columns, operands);
}

template void product(std::int64_t, std::int64_t, Operands<float> const&);
template void product(std::int64_t, std::int64_t, Operands<double> const&);
template std::span<ProductKernel<float> const> product_kernels();
template std::span<ProductKernel<double> const> product_kernels();

} // namespace trireme::framework::kernels
