// Copies rows of one head between packed tokens and tiles whose rows are whole vectors.
#pragma once
#include <cstdint>
#include <cstring>

#include "framework/kernels/simd.hpp"

namespace trireme::framework::kernels {

/// Elements of the whole vectors that hold n.
template <typename T>
std::int64_t padded(std::int64_t n) {
    return (n + kLanes<T> - 1) / kLanes<T> * kLanes<T>;
}

/// Rows of one head out of [T, heads size] into [n, padded size], zeros to the right.
template <typename T>
TRIREME_INLINE void pack(T const* from, std::int64_t stride, std::int64_t n, std::int64_t size,
                         std::int64_t width, T* to) {
    for (std::int64_t r = 0; r < n; ++r) {
        for (std::int64_t d = 0; d < size; ++d) to[r * width + d] = from[r * stride + d];
        for (std::int64_t d = size; d < width; ++d) to[r * width + d] = 0;
    }
}
/// Four elements in a register, and which elements of two of them go into another.
template <typename T>
struct Four;
template <>
struct Four<float> {
    typedef float type __attribute__((vector_size(16)));
    typedef std::int32_t order __attribute__((vector_size(16)));
};
template <>
struct Four<double> {
    typedef double type __attribute__((vector_size(32)));
    typedef std::int64_t order __attribute__((vector_size(32)));
};

/// Writes four columns of four rows as four rows.
template <typename T>
TRIREME_INLINE void transpose_block(T const* from, std::int64_t stride, std::int64_t width, T* to) {
    using Vector = typename Four<T>::type;
    using Order = typename Four<T>::order;
    constexpr Order kLow{0, 4, 1, 5}, kHigh{2, 6, 3, 7}, kFirst{0, 1, 4, 5}, kLast{2, 3, 6, 7};
    Vector rows[4];
    for (int r = 0; r < 4; ++r) std::memcpy(&rows[r], from + r * stride, sizeof(Vector));
    Vector const low01 = __builtin_shuffle(rows[0], rows[1], kLow),
                 low23 = __builtin_shuffle(rows[2], rows[3], kLow),
                 high01 = __builtin_shuffle(rows[0], rows[1], kHigh),
                 high23 = __builtin_shuffle(rows[2], rows[3], kHigh);
    Vector const columns[4] = {
        __builtin_shuffle(low01, low23, kFirst), __builtin_shuffle(low01, low23, kLast),
        __builtin_shuffle(high01, high23, kFirst), __builtin_shuffle(high01, high23, kLast)};
    for (int d = 0; d < 4; ++d) std::memcpy(to + d * width, &columns[d], sizeof(Vector));
}

/// Packs the same rows transposed: [size, padded n].
template <typename T>
TRIREME_INLINE void pack_transposed(T const* from, std::int64_t stride, std::int64_t n,
                                    std::int64_t size, std::int64_t width, T* to) {
    std::int64_t const rows = n / 4 * 4, columns = size / 4 * 4;
    for (std::int64_t r = 0; r < rows; r += 4)
        for (std::int64_t d = 0; d < columns; d += 4)
            transpose_block(from + r * stride + d, stride, width, to + d * width + r);
    for (std::int64_t d = 0; d < size; ++d) {
        std::int64_t const first = d < columns ? rows : 0;
        for (std::int64_t r = first; r < n; ++r) to[d * width + r] = from[r * stride + d];
        for (std::int64_t r = n; r < width; ++r) to[d * width + r] = 0;
    }
}
/// Copies rows of `size` elements out of a tile.
template <typename T>
TRIREME_INLINE void unpack(T const* tile, std::int64_t width, std::int64_t rows, std::int64_t size,
                           std::int64_t stride, T* to) {
    for (std::int64_t r = 0; r < rows; ++r)
        std::memcpy(to + r * stride, tile + r * width, static_cast<std::size_t>(size) * sizeof(T));
}

} // namespace trireme::framework::kernels
