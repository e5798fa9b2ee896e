// The bodies that a GPU runs, here: by one lane and by teams of threads, in packs and one by one.
// Cross-entropy, squares and AdamW, against the kernels of the CPU.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "framework/kernels/adamw.hpp"
#include "framework/kernels/cross_entropy.hpp"
#include "framework/kernels/fused/programs.hpp"
#include "tests/framework/kernels/numbers.hpp"
#include "tests/framework/kernels/teams.hpp"

namespace trireme::framework::kernels::fused {
namespace {

/// Rows of logits with a label or without, ties of the highest, and one that is all infinite but
/// for two classes.
struct Rows {
    std::int64_t n = 7, classes = 44;
    std::vector<std::int64_t> labels{0, 43, -100, 4, 5, 17, 20};
    std::vector<std::int32_t> labels32{labels.begin(), labels.end()};
    Doubles logits = numbers<double>(7 * 44, 1), loss = Doubles(7);
    std::vector<std::int32_t> best = std::vector<std::int32_t>(7);
    Rows() {
        for (double& x : logits) x *= 3;
        for (std::size_t i : {3UL, 9UL, 40UL}) logits[3 * 44 + i] = 20;
        for (std::size_t i = 0; i < 44; ++i)
            if (i != 17 && i != 30) logits[5 * 44 + i] = -INFINITY;
    }
};

TEST(Fused, CrossEntropyIsTheKernelsOfTheCpu) {
    Rows r;
    Doubles gradient = r.logits, found = r.logits, loss(7);
    std::vector<std::int64_t> best(7);
    cross_entropy(r.n, r.classes, gradient.data(), r.labels32.data(), true, 0.25, r.loss.data(),
                  r.best.data());
    CrossEntropy<double> const program{r.n, r.classes,   0,          found.data(), r.labels.data(),
                                       0,   true,        0.25,       nullptr,      nullptr,
                                       1,   loss.data(), best.data()};
    by_every_team(program, [&](char const* team) {
        expect_near(found, gradient, 1e-14, team);
        expect_near(loss, r.loss, 1e-13, team);
        EXPECT_EQ(best, std::vector<std::int64_t>(r.best.begin(), r.best.end())) << team;
        found = r.logits;
    });
}

/// Classes divided over ranks, of which the last has none: numbers of each, then the rest.
TEST(Fused, CrossEntropyOfDividedClassesIsThatOfWholeOnes) {
    Rows r;
    for (std::size_t i = 0; i < 44; ++i)
        if (!std::isfinite(r.logits[5 * 44 + i])) r.logits[5 * 44 + i] = -5;
    for (double const cap : {0.0, 6.0}) {
        Doubles whole = r.logits, loss(7), loss2(7);
        std::vector<std::int64_t> best(7), best2(7);
        CrossEntropy<double> program{r.n, r.classes,   0,          whole.data(), r.labels.data(),
                                     cap, true,        0.25,       nullptr,      nullptr,
                                     1,   loss.data(), best.data()};
        run_on_host(program);
        std::vector<std::int64_t> const cuts{0, 20, 44, 44};
        Doubles all(3 * 7 * kRowNumbers);
        std::vector<Doubles> parts;
        for (std::size_t k = 0; k < 3; ++k) {
            Doubles& part = parts.emplace_back();
            for (std::int64_t row = 0; row < r.n; ++row)
                part.insert(part.end(), r.logits.begin() + row * 44 + cuts[k],
                            r.logits.begin() + row * 44 + cuts[k + 1]);
            part.resize(part.size() + 1); // memory also of no classes
            run_on_host(CrossEntropy<double>{
                r.n, cuts[k + 1] - cuts[k], cuts[k], part.data(), r.labels.data(), cap, false, 0.25,
                all.data() + k * 7 * kRowNumbers, nullptr, 1, nullptr, nullptr});
        }
        for (std::size_t k = 0; k < 3; ++k) {
            std::int64_t const classes = cuts[k + 1] - cuts[k];
            run_on_host(CrossEntropy<double>{r.n, classes, cuts[k], parts[k].data(),
                                             r.labels.data(), cap, true, 0.25, nullptr, all.data(),
                                             3, loss2.data(), best2.data()});
            expect_near(loss2, loss, 1e-13, "loss");
            EXPECT_EQ(best2, best);
            for (std::int64_t row = 0; row < r.n; ++row)
                for (std::int64_t i = 0; i < classes; ++i)
                    ASSERT_NEAR(parts[k][static_cast<std::size_t>(row * classes + i)],
                                whole[static_cast<std::size_t>(row * 44 + cuts[k] + i)], 1e-14);
        }
        // The gradient of row 0 by one logit is the loss's slope.
        Doubles moved = r.logits;
        double const h = 1e-6;
        moved[7] += h;
        program.logits = moved.data(), program.gradient = false, program.loss = loss2.data();
        run_on_host(program);
        EXPECT_NEAR((loss2[0] - loss[0]) / h * 0.25, whole[7], 1e-5);
    }
}

TEST(Fused, ALogitThatIsNoNumberShows) {
    Rows r;
    r.logits[1] = NAN;
    Doubles loss(7);
    std::vector<std::int64_t> best(7);
    by_every_team(CrossEntropy<double>{r.n, r.classes, 0, r.logits.data(), r.labels.data(), 0,
                                       false, 0.25, nullptr, nullptr, 1, loss.data(), best.data()},
                  [&](char const* team) {
                      EXPECT_TRUE(std::isnan(loss[0])) << team;
                      EXPECT_FALSE(std::isnan(loss[1])) << team;
                  });
}

/// Fills a launch with stretches of 1 to 3 blocks, one without an element among them.
TEST(Fused, SquaresOfBlocksAreTheCpus) {
    constexpr int kMost = BlockSquares<float>::kMost;
    auto const x = numbers<float>(1000, 1);
    BlockSquares<float> program{128};
    Doubles expected;
    for (int i = 0; i < kMost; ++i) {
        std::int64_t const first = i % 50, n = i == 3 ? 0 : 1 + i * 37 % 300;
        ASSERT_TRUE(program.add(x.data() + first, n));
        Doubles of_stretch(static_cast<std::size_t>((n + 127) / 128));
        block_squares(n, 128, x.data() + first, of_stretch.data());
        expected.insert(expected.end(), of_stretch.begin(), of_stretch.end());
    }
    EXPECT_FALSE(program.add(x.data(), 1));
    Doubles sums(expected.size());
    program.sums = sums.data();
    by_every_team(program, [&](char const* team) {
        expect_near(sums, expected, 1e-11, team);
        std::ranges::fill(sums, 0);
    });
}

/// Stretches of odd and even sizes: the CPU's kernel but for the last digit, in which its vector
/// bodies may differ, and a copy in bfloat16.
TEST(Fused, AdamWOfManyStretchesIsTheCpus) {
    for (bool const even : {true, false}) {
        AdamWStretches<float> program;
        std::int64_t const sizes[] = {8, 20000, even ? 4 : 3, 8192};
        double scale = 0.5;
        program.scale = &scale;
        program.beta1 = 0.9F, program.beta2 = 0.999F, program.rest1 = static_cast<float>(1 - 0.9),
        program.rest2 = static_cast<float>(1 - 0.999), program.epsilon = 1e-8F,
        program.root = static_cast<float>(1 / std::sqrt(1 - std::pow(0.999, 3)));
        struct Tensors {
            std::vector<float> w, g, m, v;
            std::vector<BFloat16> copy;
        };
        std::vector<Tensors> ours, theirs;
        for (auto const n : sizes) {
            auto const size = static_cast<std::size_t>(n);
            Tensors t{numbers<float>(size, 1), numbers<float>(size, 2), numbers<float>(size, 3),
                      numbers<float>(size, 4), std::vector<BFloat16>(size)};
            for (float& x : t.v) x = std::abs(x);
            ours.push_back(t), theirs.push_back(t);
        }
        for (std::size_t i = 0; i < 4; ++i) {
            double const decay = 0.1 * static_cast<double>(i);
            AdamWStep const step{
                1e-2,  0.9, 0.999, 1e-8, decay, 1 - std::pow(0.9, 3), 1 - std::pow(0.999, 3),
                &scale};
            auto& [w, g, m, v, copy] = ours[i];
            ASSERT_TRUE(program.add({w.data(), g.data(), m.data(), v.data(), copy.data(), sizes[i],
                                     0, static_cast<float>(1 - 1e-2 * decay),
                                     static_cast<float>(1e-2 / (1 - std::pow(0.9, 3)))}));
            Tensors& t = theirs[i];
            adamw(sizes[i], step, t.w.data(), t.g.data(), t.m.data(), t.v.data());
        }
        EXPECT_EQ(program.packed(), even);
        auto const before = ours;
        auto const check = [&](char const* team) {
            for (std::size_t i = 0; i < 4; ++i) {
                for (std::size_t k = 0; k < ours[i].w.size(); ++k) {
                    ASSERT_NEAR(ours[i].w[k], theirs[i].w[k], 1e-6) << team;
                    ASSERT_NEAR(ours[i].m[k], theirs[i].m[k], 1e-6) << team;
                    ASSERT_NEAR(ours[i].v[k], theirs[i].v[k], 1e-6) << team;
                    ASSERT_EQ(ours[i].copy[k].bits, rounded(ours[i].w[k]).bits) << team;
                }
                ours[i].copy.assign(ours[i].copy.size(), {});
                std::ranges::copy(before[i].w, ours[i].w.begin());
                std::ranges::copy(before[i].m, ours[i].m.begin());
                std::ranges::copy(before[i].v, ours[i].v.begin());
            }
        };
        run_on_host(program);
        check("one lane");
        run_by_team<1>(program, 40);
        check("a team, one by one");
        if (even) run_by_team<4>(program, 3), check("a team, in packs");
        scale = NAN;
        run_on_host(program);
        for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(ours[i].w, before[i].w);
    }
}

} // namespace
} // namespace trireme::framework::kernels::fused
