#include "framework/kernels/matmul_tile.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <string>
#include <vector>

#include "framework/kernels/simd.hpp"
#include "tests/framework/kernels/numbers.hpp"

namespace trireme::framework::kernels {
namespace {

using std::int64_t;

struct Shape {
    int64_t rows, columns, depth;
};

template <typename T>
struct Matrices {
    Shape shape;
    bool transposed; // a is read down its columns
    int64_t ldb = shape.columns + kLanes<T>, ldc = shape.columns + 2 * kLanes<T>;
    std::vector<T> a = numbers<T>(static_cast<std::size_t>(shape.rows * shape.depth), 1),
                   b = numbers<T>(static_cast<std::size_t>(shape.depth * ldb), 2),
                   c = numbers<T>(static_cast<std::size_t>(shape.rows * ldc), 3);

    Strided<T> left() const {
        return transposed ? Strided<T>{a.data(), 1, shape.rows}
                          : Strided<T>{a.data(), shape.depth, 1};
    }
    Operands<T> operands(bool add) {
        return {shape.depth, left(), {b.data(), ldb}, {c.data(), ldc}, add};
    }
    /// Element (i, j) by additions in the order of k.
    T expected(int64_t i, int64_t j, bool add, bool fused) const {
        T sum = add ? c[static_cast<std::size_t>(i * ldc + j)] : 0;
        for (int64_t k = 0; k < shape.depth; ++k) {
            T const x = left().data[i * left().row + k * left().column],
                    y = b[static_cast<std::size_t>(k * ldb + j)];
            T const rounded = x * y;
            sum = fused ? std::fma(x, y, sum) : sum + rounded;
        }
        return sum;
    }
};

template <typename T>
void expect_chains(ProductKernel<T> const& kernel, Matrices<T> m, bool add) {
    auto const before = m;
    auto const& [rows, columns, depth] = m.shape;
    kernel.compute(rows, columns, m.operands(add));
    for (int64_t i = 0; i < rows; ++i)
        for (int64_t j = 0; j < m.ldc; ++j) {
            auto const at = static_cast<std::size_t>(i * m.ldc + j);
            T const wanted = j < columns ? before.expected(i, j, add, kernel.fused) : before.c[at];
            ASSERT_EQ(m.c[at], wanted) << kernel.instructions << ": " << rows << " x " << columns
                                       << " x " << depth << ", element " << i << ", " << j;
        }
}

template <typename T>
class MatmulTile : public testing::Test {};
using Numbers = testing::Types<float, double>;
TYPED_TEST_SUITE(MatmulTile, Numbers);

// Takes rows and columns below, at and beyond the size of every tile that this machine can run.
TYPED_TEST(MatmulTile, EveryElementIsOneChainInOrderWhicheverTileItLiesIn) {
    ASSERT_FALSE(product_kernels<TypeParam>().empty());
    for (auto const& kernel : product_kernels<TypeParam>())
        for (int64_t rows : {1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 32})
            for (int64_t vectors : {1, 2, 3})
                for (int64_t depth : {0, 1, 7, 33})
                    for (bool transposed : {false, true})
                        for (bool add : {false, true})
                            expect_chains<TypeParam>(
                                kernel, {{rows, vectors * kLanes<TypeParam>, depth}, transposed},
                                add);
}

/// Compiled for any processor, and so the least that a kernel for this one must be worth.
void plain_product(Matrices<float>& m) {
    auto const& [rows, columns, depth] = m.shape;
    for (int64_t i = 0; i < rows; ++i) {
        float* const c = m.c.data() + i * m.ldc;
        std::fill(c, c + columns, 0.0F);
        for (int64_t k = 0; k < depth; ++k) {
            float const left = m.a[static_cast<std::size_t>(i * depth + k)];
            float const* const b = m.b.data() + k * m.ldb;
            for (int64_t j = 0; j < columns; ++j) c[j] += left * b[j];
        }
    }
}

template <typename Call>
double least_seconds(Call const& call) {
    double least = 1e9;
    for (int round = 0; round < 20; ++round) {
        auto const start = std::chrono::steady_clock::now();
        for (int i = 0; i < 20; ++i) call();
        std::chrono::duration<double> const took = std::chrono::steady_clock::now() - start;
        least = std::min(least, took.count());
    }
    return least;
}

// Sums that do not fit into the processor's registers once made attention 20 times slower than it
// is now. Sanitizers make kernels slow by themselves.
TEST(MatmulTile, KeepsItsSumsInRegisters) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "speed says nothing under a sanitizer";
#endif
    Matrices<float> m{{32, 128, 64}, false};
    double const plain = least_seconds([&] { plain_product(m); });
    double const ours = least_seconds([&] { product<float>(32, 128, m.operands(false)); });
    EXPECT_LT(2 * ours, plain);
    RecordProperty("ratio", std::to_string(plain / ours));
}

} // namespace
} // namespace trireme::framework::kernels
