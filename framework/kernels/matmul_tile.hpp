// A small matrix product for matrices that live in the cache: C[M, N] (+)= A[M, K] B[K, N]. A is
// read by any strides, so it may be a transpose; N is a multiple of one vector of 64 bytes, and B
// and C are padded to it.
#pragma once
#include <cstdint>
#include <span>

namespace trireme::framework::kernels {

/// Element (i, k) is data[i row + k column].
template <typename T>
struct Strided {
    T const* data;
    std::int64_t row, column;
};

/// Rows of whole vectors, `row` elements apart.
template <typename T>
struct Padded {
    T* data;
    std::int64_t row;
};

/// a[M, K], b[K, N], c[M, N]; the caller's.
template <typename T>
struct Operands {
    std::int64_t depth; ///< K
    Strided<T> a;
    Padded<T const> b;
    Padded<T> c;
    bool add = false; ///< to what is in c, which is overwritten otherwise
};

/// Computes it in the way that suits the processor best. Each element of C is one chain of
/// multiply-adds over k in order, in whichever tile it lies, and so the same on all processors that
/// fuse the two. T: float or double.
template <typename T>
void product(std::int64_t rows, std::int64_t columns, Operands<T> const& operands);

/// One way to compute it.
template <typename T>
struct ProductKernel {
    char const* instructions; ///< "x86-64-v3", ...
    bool fused;               ///< a multiply-add rounds once
    void (*compute)(std::int64_t rows, std::int64_t columns, Operands<T> const& operands);
};

/// Those that this processor can run, the one that `product` takes first.
template <typename T>
std::span<ProductKernel<T> const> product_kernels();

} // namespace trireme::framework::kernels
