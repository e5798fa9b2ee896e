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
/// Packs the same rows transposed: [size, padded n].
template <typename T>
TRIREME_INLINE void pack_transposed(T const* from, std::int64_t stride, std::int64_t n,
                                    std::int64_t size, std::int64_t width, T* to) {
    for (std::int64_t d = 0; d < size; ++d) {
        for (std::int64_t r = 0; r < n; ++r) to[d * width + r] = from[r * stride + d];
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
