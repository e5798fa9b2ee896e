#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>
#include <vector>

#include "cluster/philox.hpp"
#include "framework/kernels/adamw.hpp"
#include "framework/kernels/attention.hpp"
#include "framework/kernels/cross_entropy.hpp"
#include "framework/kernels/gate.hpp"
#include "framework/kernels/norm.hpp"
#include "framework/kernels/random.hpp"
#include "framework/kernels/rotary.hpp"
#include "framework/kernels/simd.hpp"
#include "tests/framework/kernels/numbers.hpp"
#include "tests/framework/kernels/slope.hpp"

namespace trireme::framework::kernels {
namespace {

TEST(ExpFast, IsWithinTwoUlp) {
    double worst = 0;
    for (float x = -87.0F; x < 80.0F; x += 0.00137F) {
        double const exact = std::exp(static_cast<double>(x));
        worst =
            std::max(worst, std::abs(static_cast<double>(exp_fast(x)) - exact) / (exact * 0x1p-23));
    }
    EXPECT_LE(worst, 2.0);
    EXPECT_EQ(exp_fast(-200.0F), 0.0F);
    EXPECT_EQ(exp_fast(0.0F), 1.0F);
}

/// The loop here is compiled without fused multiply-adds.
TEST(AdamW, RoundsAfterEachOperationOnEveryProcessor) {
    std::size_t const n = 1003;
    auto w = numbers<double>(n, 1), g = numbers<double>(n, 2), m = numbers<double>(n, 3),
         v = numbers<double>(n, 4), average = numbers<double>(n, 5);
    for (auto& x : v) x = std::abs(x);
    auto w2 = w, m2 = m, v2 = v, average2 = average;
    double scale = 0.7;
    AdamWStep const step{1e-2, 0.9, 0.999, 1e-8, 0.1, 0.3, 0.2, &scale};
    adamw<double>(static_cast<std::int64_t>(n), step, w.data(), g.data(), m.data(), v.data());
    moving_average<double>(static_cast<std::int64_t>(n), 0.7, &scale, w.data(), average.data());
    double const rate = 1e-2 / 0.3, root = 1 / std::sqrt(0.2);
    for (std::size_t i = 0; i < n; ++i) {
        double const gradient = g[i] * scale;
        m2[i] = 0.9 * m2[i] + (1 - 0.9) * gradient;
        v2[i] = 0.999 * v2[i] + (1 - 0.999) * gradient * gradient;
        w2[i] = w2[i] * (1 - 1e-2 * 0.1) - rate * m2[i] / (std::sqrt(v2[i]) * root + 1e-8);
        average2[i] = 0.7 * average2[i] + (1 - 0.7) * w2[i];
    }
    EXPECT_EQ(m, m2);
    EXPECT_EQ(v, v2);
    EXPECT_EQ(w, w2);
    EXPECT_EQ(average, average2);
}

TEST(AdamW, EqualsTheTextbookAndDoesNotDependOnWhereAShardIsCut) {
    std::size_t const n = 40003; // more than one thread takes at a time, and a tail
    auto w = numbers<float>(n, 1), g = numbers<float>(n, 2), m = numbers<float>(n, 3),
         v = numbers<float>(n, 4);
    for (auto& x : v) x = std::abs(x);
    double scale = 0.5;
    AdamWStep const step{1e-2,  0.9, 0.999, 1e-8, 0.1, 1 - std::pow(0.9, 3), 1 - std::pow(0.999, 3),
                         &scale};
    auto w2 = w, m2 = m, v2 = v;
    adamw<float>(static_cast<std::int64_t>(n), step, w.data(), g.data(), m.data(), v.data());
    for (std::size_t i = 0; i < n; ++i) { // one element at a time: every element is a tail
        double const gd = 0.5 * static_cast<double>(g[i]);
        double const md = 0.9 * static_cast<double>(m2[i]) + 0.1 * gd,
                     vd = 0.999 * static_cast<double>(v2[i]) + 0.001 * gd * gd;
        double const wd =
            static_cast<double>(w2[i]) * (1 - 1e-3) -
            1e-2 * (md / step.correction1) / (std::sqrt(vd / step.correction2) + 1e-8);
        adamw<float>(1, step, &w2[i], &g[i], &m2[i], &v2[i]);
        ASSERT_EQ(w[i], w2[i]) << "element " << i;
        ASSERT_NEAR(static_cast<double>(w[i]), wd, 1e-5 * (1 + std::abs(wd)));
    }
    EXPECT_EQ(m, m2);
    EXPECT_EQ(v, v2);
    scale = std::numeric_limits<double>::quiet_NaN(); // of a step that is not good
    adamw<float>(static_cast<std::int64_t>(n), step, w2.data(), g.data(), m2.data(), v2.data());
    EXPECT_EQ(w, w2);
    EXPECT_EQ(m, m2);
    EXPECT_EQ(v, v2);
}

TEST(BlockSquares, AddsEachBlockApart) {
    std::size_t const n = 10007;
    auto const x = numbers<float>(n, 5);
    std::vector<double> sums(3);
    block_squares<float>(static_cast<std::int64_t>(n), 4096, x.data(), sums.data());
    double expected = 0;
    for (std::size_t i = 8192; i < n; ++i)
        expected += static_cast<double>(x[i]) * static_cast<double>(x[i]);
    EXPECT_NEAR(sums[2], expected, 1e-9 * expected);
}

/// From rows long enough for several threads, with a tail, and sigmoids at both ends.
TEST(GatedSilu, EqualsItsDefinitionAndItsGradientsAreTheSlopes) {
    std::size_t const n = 9001;
    auto gate = numbers<double>(n, 1), dy = numbers<double>(n, 3);
    auto const up = numbers<double>(n, 2);
    gate[0] = 800, gate[1] = -800, gate[2] = 0;
    auto const silu = [](double x) { return x / (1 + std::exp(-x)); };
    std::vector<double> y(n), dgate(n), dup(n);
    auto const count = static_cast<std::int64_t>(n);
    gated_silu_forward(count, gate.data(), up.data(), y.data());
    auto made = dy;
    gated_silu_backward(count, gate.data(), up.data(), made.data(), dgate.data(), dup.data());
    double const h = 1e-6;
    for (std::size_t i = 0; i < n; ++i) {
        double const slope = (silu(gate[i] + h) - silu(gate[i] - h)) / (2 * h);
        ASSERT_NEAR(y[i], silu(gate[i]) * up[i], 1e-14 * (1 + std::abs(y[i]))) << i;
        ASSERT_EQ(made[i], y[i]) << i; // where dy was
        ASSERT_NEAR(dgate[i], dy[i] * up[i] * slope, 1e-7) << i;
        ASSERT_NEAR(dup[i], dy[i] * silu(gate[i]), 1e-14 * (1 + std::abs(dup[i]))) << i;
    }
}

TEST(GatedSilu, InFloat32IsThatOfFloat64WithinRounding) {
    std::size_t const n = 5003;
    auto gate = numbers<float>(n, 1), dy = numbers<float>(n, 3);
    auto const up = numbers<float>(n, 2);
    gate[0] = 500, gate[1] = -500, gate[2] = -87.9F, gate[3] = 87.9F;
    std::vector<double> const wide_gate(gate.begin(), gate.end()), wide_up(up.begin(), up.end());
    std::vector<double> wide(dy.begin(), dy.end()), wide_dgate(n), wide_dup(n);
    std::vector<float> dgate(n), dup(n);
    auto const count = static_cast<std::int64_t>(n);
    gated_silu_backward(count, gate.data(), up.data(), dy.data(), dgate.data(), dup.data());
    gated_silu_backward(count, wide_gate.data(), wide_up.data(), wide.data(), wide_dgate.data(),
                        wide_dup.data());
    auto const expect_close = [](float narrow, double exact, double size) {
        ASSERT_NEAR(static_cast<double>(narrow), exact, 1e-6 * size);
    };
    for (std::size_t i = 0; i < n; ++i) {
        expect_close(dy[i], wide[i], std::abs(wide[i]) + 1e-30);
        expect_close(dgate[i], wide_dgate[i], 1 + std::abs(wide_dgate[i]));
        expect_close(dup[i], wide_dup[i], std::abs(wide_dup[i]) + 1e-30);
    }
}

TEST(RmsNorm, EqualsItsDefinitionAndItsGradientIsTheSlope) {
    std::int64_t const rows = 131, width = 37;
    auto x = numbers<double>(static_cast<std::size_t>(rows * width), 1),
         weight = numbers<double>(37, 2), dy = numbers<double>(x.size(), 3);
    std::vector<double> y(x.size()), inverse(131), dx(x.size()), dweight(37);
    auto loss = [&] {
        rms_norm_forward(rows, width, x.data(), weight.data(), 1e-5, y.data(), inverse.data());
        return dot(y, dy);
    };
    loss();
    double square = 0;
    for (int d = 0; d < 37; ++d)
        square += x[static_cast<std::size_t>(d)] * x[static_cast<std::size_t>(d)];
    EXPECT_NEAR(y[5], x[5] / std::sqrt(square / 37 + 1e-5) * weight[5], 1e-12);
    rms_norm_backward(rows, width, dy.data(), x.data(), weight.data(), inverse.data(),
                      {dx.data(), dweight.data()});
    for (std::size_t i : {std::size_t{0}, std::size_t{36}, std::size_t{2000}, x.size() - 1})
        EXPECT_NEAR(dx[i], slope(x, i, loss), 1e-7);
    for (std::size_t i : {0U, 36U}) EXPECT_NEAR(dweight[i], slope(weight, i, loss), 1e-6);
}

TEST(Rotary, TurnsPairsAndBack) {
    std::int64_t const rows = 9, heads = 3, size = 10;
    auto const x = numbers<double>(static_cast<std::size_t>(rows * heads * size), 1);
    std::vector<double> cosine, sine, y(x.size()), back(x.size());
    std::vector<std::int32_t> position{0, 1, 2, 3, 0, 1, 2, 0, 5};
    for (int p = 0; p < 6; ++p)
        for (int i = 0; i < 5; ++i)
            cosine.push_back(std::cos(p / std::pow(10000, 0.2 * i))),
                sine.push_back(std::sin(p / std::pow(10000, 0.2 * i)));
    apply_rotary(rows, heads, size, position.data(), cosine.data(), sine.data(), 1, x.data(),
                 y.data());
    double const angle = 2 / std::pow(10000, 0.2 * 3); // row 2, pair 3
    std::size_t const at = 2 * 30 + 10 + 3;            // head 1
    EXPECT_NEAR(y[at], x[at] * std::cos(angle) - x[at + 5] * std::sin(angle), 1e-12);
    EXPECT_NEAR(y[at + 5], x[at + 5] * std::cos(angle) + x[at] * std::sin(angle), 1e-12);
    apply_rotary(rows, heads, size, position.data(), cosine.data(), sine.data(), -1, y.data(),
                 back.data());
    for (std::size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(back[i], x[i], 1e-12);
}

TEST(CrossEntropy, EqualsItsDefinitionAndItsGradientIsTheSlope) {
    std::int64_t const rows = 4, classes = 101;
    auto logits = numbers<double>(static_cast<std::size_t>(rows * classes), 1);
    std::vector<std::int32_t> const label{7, -100, 100, 0};
    std::vector<double> loss(4), work;
    std::vector<std::int32_t> best(4);
    auto total = [&] {
        work = logits;
        cross_entropy<double>(rows, classes, work.data(), label.data(), false, 0, loss.data(),
                              best.data());
        return 0.25 * (loss[0] + loss[1] + loss[2] + loss[3]);
    };
    total();
    double sum = 0;
    for (std::size_t i = 0; i < 101; ++i) sum += std::exp(logits[i]);
    EXPECT_NEAR(loss[0], std::log(sum) - logits[7], 1e-12);
    EXPECT_EQ(loss[1], 0.0);
    EXPECT_EQ(best[1], -1);
    EXPECT_EQ(best[2], std::max_element(logits.begin() + 202, logits.begin() + 303) -
                           (logits.begin() + 202));
    auto gradient = logits;
    cross_entropy<double>(rows, classes, gradient.data(), label.data(), true, 0.25, loss.data(),
                          best.data());
    for (std::size_t i : {7U, 8U, 150U, 302U, 303U})
        EXPECT_NEAR(gradient[i], slope(logits, i, total), 1e-8);
}

TEST(Dropout, DependsOnSampleAndPositionNotOnThePlaceInTheMicroBatch) {
    auto const key = dropout_key(1, 2, 3, 0.3);
    std::int64_t const width = 37;
    std::vector<float> const x(5 * 37, 1.0F);
    std::vector<float> y(x.size()), other(x.size());
    dropout_rows<float>(key, std::vector<std::int64_t>{7, 7, 9, 9, 9}.data(),
                        std::vector<std::int32_t>{0, 1, 0, 1, 2}.data(), 5, width, x.data(),
                        nullptr, y.data());
    dropout_rows<float>(key, std::vector<std::int64_t>{9, 9, 9, 7, 7}.data(),
                        std::vector<std::int32_t>{0, 1, 2, 0, 1}.data(), 5, width, x.data(),
                        nullptr, other.data());
    EXPECT_TRUE(std::equal(y.begin() + 2 * 37, y.end(), other.begin()));
    EXPECT_TRUE(std::equal(y.begin(), y.begin() + 2 * 37, other.begin() + 3 * 37));
    std::vector<float> next(x.size());
    dropout_rows<float>(dropout_key(1, 3, 3, 0.3), std::vector<std::int64_t>{7, 7, 9, 9, 9}.data(),
                        std::vector<std::int32_t>{0, 1, 0, 1, 2}.data(), 5, width, x.data(),
                        nullptr, next.data());
    EXPECT_NE(y, next) << "another step has another mask";
}

TEST(Dropout, AddsTheResidual) {
    auto const key = dropout_key(1, 2, 3, 0.3);
    std::vector<std::int64_t> const sample{7, 9};
    std::vector<std::int32_t> const position{1, 0};
    std::vector<double> const x = numbers<double>(2 * 70, 5), residual = numbers<double>(2 * 70, 6);
    std::vector<double> dropped(x.size()), sum = residual;
    dropout_rows<double>(key, sample.data(), position.data(), 2, 70, x.data(), nullptr,
                         dropped.data());
    dropout_rows<double>(key, sample.data(), position.data(), 2, 70, x.data(), sum.data(),
                         sum.data());
    for (std::size_t i = 0; i < x.size(); ++i)
        ASSERT_NEAR(sum[i], dropped[i] + residual[i], 1e-15) << "element " << i;
}

/// Counters with all their bits in use, and blocks whose numbers pass 2^32.
TEST(Dropout, EachWayToDrawItsWordsIsPhilox) {
    for (int const blocks : {kBlocks, 8, 3})
        for (BlockDraw const& way : block_draws()) {
            BlockCounters const at{0x9E3779B97F4A7C15, 0xFEDCBA9876543210, 0x87654321, 0xFFFFFFF9,
                                   blocks};
            std::array<std::uint32_t, 4 * kBlocks> words{};
            way.draw(at, words.data());
            for (std::uint32_t i = 0; i < 4 * static_cast<std::uint32_t>(blocks); ++i) {
                std::uint32_t const block = at.first + i / 4;
                auto const expected = cluster::philox(
                    at.key, static_cast<std::uint64_t>(at.row) << 32 | block, at.high);
                ASSERT_EQ(words[i], expected[i % 4]) << way.instructions << ", word " << i;
            }
        }
}

/// 2 seeds x 2 steps x 24 sites x 2 samples x 2 positions: no two of the masks are alike, and all
/// are as if of coins.
TEST(Dropout, EveryIngredientOfTheKeyMakesAnotherMask) {
    std::int64_t const width = 96;
    std::vector<std::vector<float>> masks;
    for (std::uint64_t seed : {1, 2})
        for (std::uint64_t step : {0, 1})
            for (std::uint64_t site = 0; site < 24; ++site)
                for (std::uint64_t sample : {7, 9})
                    for (std::uint32_t position : {0U, 1U}) {
                        auto& mask = masks.emplace_back(static_cast<std::size_t>(width));
                        dropout_factors(dropout_key(seed, step, site, 0.5), sample, position, 0,
                                        width, mask.data());
                    }
    for (std::size_t a = 0; a < masks.size(); ++a)
        for (std::size_t b = 0; b < a; ++b) {
            int alike = 0;
            for (std::size_t i = 0; i < masks[a].size(); ++i) alike += masks[a][i] == masks[b][i];
            ASSERT_NEAR(alike, 48, 6 * std::sqrt(96.0) / 2) << "masks " << a << " and " << b;
        }
}

TEST(Dropout, KeepsTheRightShareAndTheMean) {
    std::int64_t const width = 1 << 18;
    std::vector<double> factors(static_cast<std::size_t>(width));
    dropout_factors(dropout_key(5, 0, 1, 0.1), 12, 3, 0, width, factors.data());
    double const mean =
        std::accumulate(factors.begin(), factors.end(), 0.0) / static_cast<double>(width);
    EXPECT_NEAR(mean, 1.0, 5 * std::sqrt(0.1 / 0.9 / static_cast<double>(width)));
    EXPECT_EQ(std::set<double>(factors.begin(), factors.end()), (std::set<double>{0.0, 1 / 0.9}));
}

} // namespace
} // namespace trireme::framework::kernels
