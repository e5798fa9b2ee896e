// Element-wise updates and sums over parameters. Vector bodies and tails use the same arithmetic
// (each operation rounds: no multiply-adds are fused), so an element's result does not depend on
// where a shard is cut.
#pragma once
#include <cstdint>

namespace trireme::framework::kernels {

struct AdamWStep {
    double learning_rate, beta1, beta2, epsilon, weight_decay;
    double correction1, correction2; ///< 1 - beta^t
    /// one number where the gradient is, from clipping; NaN: nothing is updated
    double const* gradient_scale;
};

/// One AdamW update of n elements (Loshchilov and Hutter, ICLR 2019, algorithm 2).
template <typename T>
void adamw(std::int64_t n, AdamWStep const& step, T* weight, T const* gradient, T* moment1,
           T* moment2);

/// Elements [first, first + count) of a table, row-major, where some rows have no gradient: it is
/// zero there, and not read.
struct TouchedRows {
    std::uint8_t const* marks; ///< one of each row of the table; 0: it has no gradient
    std::int64_t width;        ///< elements of a row
    std::int64_t first, count;
};

/// The update of all elements of `rows`, bit by bit as that of `rows.count` elements. Moments that
/// are zero, as they are until a row has its first gradient, are not written either.
template <typename T>
void adamw(TouchedRows const& rows, AdamWStep const& step, T* weight, T const* gradient, T* moment1,
           T* moment2);

/// average = decay * average + (1 - decay) * weight for n elements; nothing if the scale is NaN, as
/// in an update that is not made.
template <typename T>
void moving_average(std::int64_t n, double decay, double const* gradient_scale, T const* weight,
                    T* average);

/// sums[b] = sum of squares of elements [b * block, (b + 1) * block), float64, in an order fixed by
/// the block alone.
template <typename T>
void block_squares(std::int64_t n, std::int64_t block, T const* x, double* sums);
/// Sums of the `rows.count` elements of x, of which blocks without a gradient are not read.
template <typename T>
void block_squares(TouchedRows const& rows, std::int64_t block, T const* x, double* sums);

} // namespace trireme::framework::kernels
