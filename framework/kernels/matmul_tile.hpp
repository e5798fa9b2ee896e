// A small matrix product in registers for matrices that live in the cache: C[M, N] (+)= A[M, K]
// B[K, N]. A is read by any strides, so it may be a transpose; N is a multiple of one vector and B
// and C are padded to it.
#pragma once
#include <algorithm>

#include "framework/kernels/simd.hpp"

namespace trireme::framework::kernels {

template <typename T>
struct Strided {
    T const* data;
    std::int64_t row, column;
};

template <typename T, int M, int N> // M rows, N vectors of columns
TRIREME_INLINE void product_tile(std::int64_t depth, Strided<T> a, T const* b, std::int64_t ldb,
                                 T* c, std::int64_t ldc, bool add) {
    Vector<T> sum[M][N];
#pragma GCC unroll 8
    for (int i = 0; i < M; ++i)
#pragma GCC unroll 4
        for (int j = 0; j < N; ++j) {
            if (add)
                load(sum[i][j], c + i * ldc + j * kLanes<T>);
            else
                sum[i][j] = Vector<T>{};
        }
    for (std::int64_t k = 0; k < depth; ++k) {
        Vector<T> right[N];
#pragma GCC unroll 4
        for (int j = 0; j < N; ++j) load(right[j], b + k * ldb + j * kLanes<T>);
#pragma GCC unroll 8
        for (int i = 0; i < M; ++i) {
            T const left = a.data[i * a.row + k * a.column];
#pragma GCC unroll 4
            for (int j = 0; j < N; ++j) sum[i][j] += left * right[j];
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < M; ++i)
#pragma GCC unroll 4
        for (int j = 0; j < N; ++j) store(c + i * ldc + j * kLanes<T>, sum[i][j]);
}

template <typename T, int N>
TRIREME_INLINE void product_columns(std::int64_t rows, std::int64_t depth, Strided<T> a, T const* b,
                                    std::int64_t ldb, T* c, std::int64_t ldc, bool add) {
    std::int64_t i = 0;
    for (; i + 8 <= rows; i += 8)
        product_tile<T, 8, N>(depth, {a.data + i * a.row, a.row, a.column}, b, ldb, c + i * ldc,
                              ldc, add);
    for (; i < rows; ++i)
        product_tile<T, 1, N>(depth, {a.data + i * a.row, a.row, a.column}, b, ldb, c + i * ldc,
                              ldc, add);
}

/// Each element of C is one chain of additions over k in order, in whichever tile it lies.
template <typename T>
TRIREME_INLINE void product(std::int64_t rows, std::int64_t columns, std::int64_t depth,
                            Strided<T> a, T const* b, std::int64_t ldb, T* c, std::int64_t ldc,
                            bool add) {
    std::int64_t j = 0;
    for (; j + 2 * kLanes<T> <= columns; j += 2 * kLanes<T>)
        product_columns<T, 2>(rows, depth, a, b + j, ldb, c + j, ldc, add);
    for (; j < columns; j += kLanes<T>)
        product_columns<T, 1>(rows, depth, a, b + j, ldb, c + j, ldc, add);
}

} // namespace trireme::framework::kernels
