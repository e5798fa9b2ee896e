// The bodies that a GPU runs, here: by one lane and by teams of threads, in packs and one by one.
// Rounding, dropout, rotary and gates, against the kernels of the CPU and the formulas.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "framework/kernels/fused/dropout.hpp"
#include "framework/kernels/fused/gate.hpp"
#include "framework/kernels/fused/rotary.hpp"
#include "framework/kernels/random.hpp"
#include "framework/kernels/rotary.hpp"
#include "tests/framework/kernels/numbers.hpp"
#include "tests/framework/kernels/teams.hpp"

namespace trireme::framework::kernels::fused {
namespace {

TEST(Fused, RoundingToBFloat16IsToTheNearestAndToEven) {
    for (std::uint32_t bits = 0; bits < 0x7F80; ++bits) {
        BFloat16 const low{static_cast<std::uint16_t>(bits)},
            high{static_cast<std::uint16_t>(bits + 1)};
        EXPECT_EQ(rounded(widened(low)).bits, bits);
        if (bits + 1 == 0x7F80) break; // infinity has no middle below it
        double const middle =
            (static_cast<double>(widened(low)) + static_cast<double>(widened(high))) / 2;
        auto const m = static_cast<float>(middle); // exact: one bit more
        EXPECT_EQ(rounded(m).bits, bits % 2 == 0 ? bits : bits + 1);
        EXPECT_EQ(rounded(std::nextafter(m, 0.0F)).bits, bits);
        EXPECT_EQ(rounded(std::nextafter(m, INFINITY)).bits, bits + 1);
    }
    EXPECT_TRUE(std::isnan(widened(rounded(NAN))));
    EXPECT_EQ(widened(rounded(-INFINITY)), -INFINITY);
}

TEST(Fused, DropoutMasksAreTheCpusToTheBit) {
    std::int64_t const width = 68;
    // Samples and rows with all their bits in use.
    std::vector<std::int64_t> const samples{0, 5, -1, std::int64_t{1} << 40, 0x7FFFFFFFFFFFFFFF},
        positions{0, 1, 0x7FFFFFFF, 1 << 20, 77};
    std::vector<std::int32_t> const positions32(positions.begin(), positions.end());
    auto const key = dropout_key(~std::uint64_t{0}, 3, 7, 0.3);
    auto const x = numbers<double>(5 * 68, 1), residual = numbers<double>(5 * 68, 2);
    Doubles expected(x.size()), out(x.size());
    kernels::dropout_rows<double>(key, samples.data(), positions32.data(), 5, width, x.data(),
                                  nullptr, expected.data());
    Dropout const drop{key.key, static_cast<std::uint32_t>(0.3 * 0x1p32), 1 / (1 - 0.3),
                       samples.data(), positions.data()};
    by_every_team(DropRows<double>{5, width, x.data(), nullptr, drop, out.data()},
                  [&](char const* team) { EXPECT_EQ(out, expected) << team; });
    for (std::size_t i = 0; i < x.size(); ++i) expected[i] += residual[i];
    by_every_team(DropRows<double>{5, width, x.data(), residual.data(), drop, out.data()},
                  [&](char const* team) { expect_near(out, expected, 1e-15, team); });
}

/// Queries, keys and values as columns of one tensor turn where they lie, and back into another.
TEST(Fused, QueriesAndKeysTurnAsOnTheCpu) {
    std::int64_t const rows = 9, heads = 3, kv_heads = 1;
    for (auto const& [size, turned] : {std::pair<std::int64_t, std::int64_t>{8, 8}, {12, 8}}) {
        std::int64_t const q_width = heads * size, k_width = kv_heads * size,
                           width = q_width + 2 * k_width;
        auto const columns = [&](Doubles const& x, std::int64_t first, std::int64_t count) {
            Doubles part;
            for (std::int64_t r = 0; r < rows; ++r)
                part.insert(part.end(), x.begin() + r * width + first,
                            x.begin() + r * width + first + count);
            return part;
        };
        auto const x = numbers<double>(static_cast<std::size_t>(rows * width), 1),
                   c = numbers<double>(static_cast<std::size_t>(31 * turned / 2), 3),
                   s = numbers<double>(static_cast<std::size_t>(31 * turned / 2), 4);
        auto const q = columns(x, 0, q_width), k = columns(x, q_width, k_width),
                   v = columns(x, q_width + k_width, k_width);
        std::vector<std::int32_t> positions;
        for (int i = 0; i < rows; ++i) positions.push_back(i * 5 % 31);
        std::vector<std::int64_t> const ids(positions.begin(), positions.end());
        for (int const direction : {1, -1}) {
            Doubles q_expected(q.size()), k_expected(k.size());
            apply_rotary(rows, heads, {size, turned}, positions.data(), c.data(), s.data(),
                         direction, q.data(), q_expected.data());
            apply_rotary(rows, kv_heads, {size, turned}, positions.data(), c.data(), s.data(),
                         direction, k.data(), k_expected.data());
            auto const expect_turned = [&](Doubles const& y, Doubles const& values,
                                           char const* team) {
                expect_near(columns(y, 0, q_width), q_expected, 1e-15, team);
                expect_near(columns(y, q_width, k_width), k_expected, 1e-15, team);
                EXPECT_EQ(columns(y, q_width + k_width, k_width), values) << team;
            };
            Rotary<double> program{rows, size, turned, ids.data(), c.data(), s.data(), direction};
            Doubles y = x;
            program.queries = {heads, y.data(), y.data(), width, width};
            program.keys = {kv_heads, y.data() + q_width, y.data() + q_width, width, width};
            by_every_team(program, [&](char const* team) {
                expect_turned(y, v, team);
                y = x;
            });
            Doubles z(x.size());
            double* const values = z.data() + q_width + k_width;
            program.queries = {heads, q.data(), z.data(), q_width, width};
            program.keys = {kv_heads, k.data(), z.data() + q_width, k_width, width};
            program.values = {kv_heads, v.data(), values, k_width, width};
            by_every_team(program, [&](char const* team) {
                expect_turned(z, v, team);
                std::ranges::fill(z, 0);
            });
        }
    }
}

double by_the_book(Curve curve, double x) {
    switch (curve) {
    case Curve::silu: return x / (1 + std::exp(-x));
    case Curve::gelu: return x * std::erfc(-x / std::sqrt(2.0)) / 2;
    case Curve::gelu_tanh:
        return x / 2 * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * std::pow(x, 3))));
    case Curve::relu: return std::max(x, 0.0);
    case Curve::tanh: return std::tanh(x);
    }
    return x;
}

TEST(Fused, GatesAndTheirSlopes) {
    std::int64_t const rows = 5, width = 12, stride = 28; // gate, up, and 4 columns of others
    auto const both = numbers<double>(rows * stride, 1), dy = numbers<double>(60, 3);
    double const *const gate = both.data(), *const up = both.data() + width;
    auto const in_both = [&](std::size_t i) { return i / 12 * 28 + i % 12; };
    for (Curve const curve :
         {Curve::silu, Curve::gelu, Curve::gelu_tanh, Curve::relu, Curve::tanh}) {
        Doubles y(60), found(both.size(), 7);
        Gate<double> program{.count = rows,
                             .width = width,
                             .stride = stride,
                             .curve = curve,
                             .gate = gate,
                             .up = up,
                             .out = y.data()};
        by_every_team(program, [&](char const* team) {
            for (std::size_t i = 0; i < 60; ++i)
                ASSERT_NEAR(y[i], by_the_book(curve, gate[in_both(i)]) * up[in_both(i)], 1e-14)
                    << team;
            std::ranges::fill(y, 0);
        });
        y = dy; // the gradient, which gives way to what it is the gradient of
        program.dy = y.data(), program.dgate = found.data(), program.dup = found.data() + width;
        by_every_team(program, [&](char const* team) {
            double const h = 1e-6;
            for (std::size_t i = 0; i < 60; ++i) {
                double const x = gate[in_both(i)];
                double const slope =
                    (by_the_book(curve, x + h) - by_the_book(curve, x - h)) / (2 * h);
                ASSERT_NEAR(found[in_both(i)], dy[i] * up[in_both(i)] * slope, 1e-8) << team;
                ASSERT_NEAR(found[in_both(i) + 12], dy[i] * by_the_book(curve, x), 1e-14) << team;
                ASSERT_NEAR(y[i], by_the_book(curve, x) * up[in_both(i)], 1e-14) << team;
            }
            for (std::size_t r = 0; r < 5; ++r)
                for (std::size_t d = 24; d < 28; ++d) ASSERT_EQ(found[28 * r + d], 7) << team;
            std::ranges::fill(found, 7);
            y = dy;
        });
    }
}

} // namespace
} // namespace trireme::framework::kernels::fused
