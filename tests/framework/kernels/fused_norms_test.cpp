// The bodies that a GPU runs, here: by one lane and by teams of threads, in packs and one by one.
// Norms, against the kernels of the CPU and central differences.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "framework/kernels/fused/norm.hpp"
#include "framework/kernels/norm.hpp"
#include "framework/kernels/random.hpp"
#include "tests/framework/kernels/numbers.hpp"
#include "tests/framework/kernels/teams.hpp"

namespace trireme::framework::kernels::fused {
namespace {

std::vector<BFloat16> halved(Doubles const& x) {
    std::vector<BFloat16> y;
    for (double const v : x) y.push_back(rounded(static_cast<float>(v)));
    return y;
}
Doubles widened_all(std::vector<BFloat16> const& x) {
    Doubles y;
    for (BFloat16 const v : x) y.push_back(static_cast<double>(widened(v)));
    return y;
}

/// Rows and what a norm makes of them, in float64.
struct NormCase {
    static constexpr std::int64_t rows = 37, width = 24; // more than two groups of rows
    static constexpr std::size_t n = rows * width;
    bool centered = false, plus_one = false;
    double drop = 0;
    Doubles x = numbers<double>(n, 1), part = numbers<double>(n, 2),
            weight = numbers<double>(width, 3), bias = numbers<double>(width, 4),
            dy = numbers<double>(n, 5), dh = numbers<double>(n, 6);
    std::vector<std::int64_t> samples = std::vector<std::int64_t>(rows, 7),
                              positions = std::vector<std::int64_t>(rows);
    Doubles h = Doubles(n), y = Doubles(n), mean = Doubles(rows), inverse = Doubles(rows);
    Doubles dx = Doubles(n), dpart = Doubles(n), dweight = Doubles(3 * width),
            dbias = Doubles(3 * width);
    DropoutKey key = dropout_key(1, 2, 3, drop);

    NormCase(bool c, bool p, double d) : centered(c), plus_one(p), drop(d) {
        for (std::int64_t r = 0; r < rows; ++r) positions[static_cast<std::size_t>(r)] = 5 * r % 11;
    }
    Dropout dropout() const {
        if (drop == 0) return {};
        return {key.key, static_cast<std::uint32_t>(drop * 0x1p32), 1 / (1 - drop), samples.data(),
                positions.data()};
    }
    NormForward<double> forward() {
        return {rows,
                width,
                x.data(),
                part.data(),
                dropout(),
                weight.data(),
                centered ? bias.data() : nullptr,
                1e-5,
                plus_one,
                h.data(),
                y.data(),
                centered ? mean.data() : nullptr,
                inverse.data()};
    }
    NormBackward<double> backward() {
        return {rows,           width,         dy.data(), dh.data(),
                h.data(),       weight.data(), plus_one,  centered ? mean.data() : nullptr,
                inverse.data(), dropout(),     dx.data(), dpart.data(),
                dweight.data(), dbias.data()};
    }
    /// sum of y dy + h dh
    double loss() {
        run_on_host(forward());
        double sum = 0;
        for (std::size_t i = 0; i < n; ++i) sum += y[i] * dy[i] + h[i] * dh[i];
        return sum;
    }
    double slope(double& number) {
        double const kept = number, step = 1e-5;
        number = kept + step;
        double const up = loss();
        number = kept - step;
        double const down = loss();
        number = kept;
        return (up - down) / (2 * step);
    }
};

TEST(Fused, RmsNormIsTheKernelsOfTheCpu) {
    NormCase c(false, false, 0);
    Doubles h(c.n), y(c.n), inverse(c.rows), dx(c.n), dweight(c.width);
    for (std::size_t i = 0; i < c.n; ++i) h[i] = c.x[i] + c.part[i];
    rms_norm_forward(c.rows, c.width, h.data(), c.weight.data(), 1e-5, y.data(), inverse.data());
    rms_norm_backward(c.rows, c.width, c.dy.data(), h.data(), c.weight.data(), inverse.data(),
                      {dx.data(), dweight.data(), c.dh.data()});
    by_every_team(c.forward(), [&](char const* team) {
        expect_near(c.h, h, 0, team);
        expect_near(c.y, y, 1e-13, team);
        expect_near(c.inverse, inverse, 1e-13, team);
        std::ranges::fill(c.y, 0);
    });
    by_every_team(c.backward(), [&](char const* team) {
        expect_near(c.dx, dx, 1e-13, team);
        expect_near(c.dpart, dx, 1e-13, team); // nothing is dropped
        Doubles sums(c.width);
        for (bool const fresh : {true, false}) {
            run_on_host(ColumnSums<double>{3, c.width, c.dweight.data(), fresh, sums.data()});
            Doubles expected = dweight;
            if (!fresh)
                for (double& e : expected) e *= 2;
            expect_near(sums, expected, 1e-12, team);
        }
        std::ranges::fill(c.dx, 0);
    });
}

TEST(Fused, GradientsOfNormsAreTheirSlopes) {
    for (auto& c :
         {NormCase(true, false, 0), NormCase(true, false, 0.3), NormCase(false, true, 0.3)}) {
        NormCase n = c;
        n.loss();
        by_every_team(n.backward(), [](char const*) {});
        for (std::size_t const i : {0UL, 23UL, 24UL, 500UL, 887UL}) {
            EXPECT_NEAR(n.dx[i], n.slope(n.x[i]), 1e-7);
            EXPECT_NEAR(n.dpart[i], n.slope(n.part[i]), 1e-7);
        }
        for (std::size_t const d : {0UL, 11UL, 23UL}) {
            auto const sum = [&](Doubles const& of) { return of[d] + of[24 + d] + of[48 + d]; };
            EXPECT_NEAR(sum(n.dweight), n.slope(n.weight[d]), 1e-6);
            if (n.centered) {
                EXPECT_NEAR(sum(n.dbias), n.slope(n.bias[d]), 1e-6);
            }
        }
    }
}

TEST(Fused, ColumnSumsByTeams) {
    std::int64_t const rows = 19, width = 70;
    auto const x = numbers<double>(static_cast<std::size_t>(rows * width), 8);
    Doubles sums(static_cast<std::size_t>(width)), expected(sums.size());
    for (std::size_t i = 0; i < x.size(); ++i) expected[i % sums.size()] += x[i];
    for (int const lanes : {1, 3, 32, 64}) {
        std::ranges::fill(sums, 1);
        run_by_team<1>(ColumnSums<double>{rows, width, x.data(), true, sums.data()}, lanes);
        expect_near(sums, expected, 1e-13, "fresh");
        run_by_team<1>(ColumnSums<double>{rows, width, x.data(), false, sums.data()}, lanes);
        for (std::size_t d = 0; d < sums.size(); ++d) EXPECT_NEAR(sums[d], 2 * expected[d], 1e-12);
    }
}

TEST(Fused, NormsOfBFloat16AreRoundedOnce) {
    NormCase c(true, false, 0.3);
    auto const x = halved(c.x), part = halved(c.part), weight = halved(c.weight),
               bias = halved(c.bias);
    std::vector<BFloat16> h(c.n), y(c.n);
    std::vector<float> mean(c.rows), inverse(c.rows);
    NormForward<BFloat16> const program{
        c.rows, c.width, x.data(), part.data(), c.dropout(), weight.data(), bias.data(),
        1e-5,   false,   h.data(), y.data(),    mean.data(), inverse.data()};
    c.x = widened_all(x), c.part = widened_all(part), c.weight = widened_all(weight),
    c.bias = widened_all(bias);
    c.loss();
    by_every_team(program, [&](char const* team) {
        auto const sums = widened_all(h);
        for (std::size_t i = 0; i < c.n; ++i)
            ASSERT_NEAR(sums[i], c.h[i], std::abs(c.h[i]) * 0x1p-8 + 1e-6) << team;
    });
    // The norm is that of the sum as it is kept.
    Doubles const zero(c.n);
    c.x = widened_all(h), c.part = zero;
    c.loss();
    auto const normal = widened_all(y);
    for (std::size_t i = 0; i < c.n; ++i)
        ASSERT_NEAR(normal[i], c.y[i], std::abs(c.y[i]) * 0x1p-8 + 1e-5);
}

} // namespace
} // namespace trireme::framework::kernels::fused
