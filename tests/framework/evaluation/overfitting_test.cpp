// Overfitting is told from noise: curves with known truth, and the two tests by hand.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "framework/evaluation/overfitting.hpp"

namespace trireme::framework {
namespace {

using evaluation::SampleLosses;

/// Losses of 200 samples around a mean that moves: a level for each sample, and noise on top.
std::vector<model::SampleResult> evaluation_of(double mean, double noise, std::mt19937_64& random) {
    std::mt19937_64 levels(5);
    std::normal_distribution<double> level(0, 0.5), each(0, noise);
    std::vector<model::SampleResult> samples;
    for (int i = 0; i < 200; ++i)
        samples.push_back({.sample = i,
                           .loss = (mean + level(levels) + each(random)) * (1 + i % 3),
                           .trained = 1 + i % 3});
    return samples;
}

struct Curve {
    double (*validation)(int), (*training)(int); ///< by the number of the evaluation
    double shared;                               ///< noise of a whole evaluation
};

/// Number of the evaluation that finds overfitting; -1: none of 30.
int found_at(Curve const& curve, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    std::normal_distribution<double> step(0, 0.1), shared(0, curve.shared);
    run::Gap gap;
    for (int e = 0; e < 30; ++e) {
        for (int s = 0; s < 10; ++s) gap.since.add(curve.training(e) + step(random));
        auto const samples = evaluation_of(
            curve.validation(e) + (curve.shared > 0 ? shared(random) : 0), 0.1, random);
        if (evaluation::follow_gap(gap, 10 * (e + 1), evaluation::losses_to_compare(samples)))
            return e;
    }
    return -1;
}

double falls(int e) {
    return 1 + 2 * std::exp(-0.2 * e);
}
double falls_and_rises(int e) {
    return e <= 6 ? 3 - 0.3 * e : 1.2 + 0.1 * (e - 6);
}
double level(int) {
    return 2;
}

/// Two rises are needed, and where noise hides that training still learns, the next evaluation
/// tells.
TEST(Overfitting, IsFoundTwoEvaluationsAfterTheLowestOrOneLater) {
    int at_once = 0;
    for (std::uint64_t seed = 1; seed <= 100; ++seed) {
        int const found = found_at({falls_and_rises, falls, 0}, seed);
        EXPECT_TRUE(found == 8 || found == 9) << seed << ": " << found;
        at_once += found == 8;
    }
    EXPECT_GE(at_once, 90);
}

TEST(Overfitting, ARunThatLearnsIsLeftAlone) {
    for (std::uint64_t seed = 1; seed <= 100; ++seed)
        EXPECT_EQ(found_at({falls, falls, 0}, seed), -1) << seed;
}

/// The weights wander, so that whole evaluations differ by more than samples' noise: the loss rises
/// twice in a row time and again, and nothing is learned. About five times in 30 evaluations only
/// the test of training losses, at 1 %, stands between that and an alarm.
TEST(Overfitting, ANoisyPlateauIsRarelyTakenForIt) {
    int found = 0;
    for (std::uint64_t seed = 1; seed <= 200; ++seed)
        found += found_at({level, level, 0.2}, seed) >= 0;
    EXPECT_LE(found, 10) << "of 200 runs of 30 evaluations";
}

/// A loss that rises while that of training does not fall is something else: a rate too high.
TEST(Overfitting, ARiseWithoutAFallOfTrainingIsNone) {
    int found = 0;
    for (std::uint64_t seed = 1; seed <= 100; ++seed)
        found += found_at({falls_and_rises, level, 0}, seed) >= 0;
    EXPECT_LE(found, 4);
}

TEST(Overfitting, TheTestsAreThoseOfTextbooks) {
    // scipy.stats.ttest_rel([3, 5, 4, 6], [1, 4, 4, 3], alternative="greater")
    SampleLosses const now{0, {3, 5, 4, 6}, {1, 1, 1, 1}};
    EXPECT_NEAR(evaluation::p_of_rise({1, 4, 4, 3}, now), 0.051364039429, 1e-9);
    // Samples with more labels weigh more: the residuals of d = r n, by hand.
    EXPECT_LT(evaluation::p_of_rise({1, 2, 3}, {0, {2, 4, 6}, {1, 2, 3}}), 1e-9);
    run::LossSums then, later;
    for (double const x : {3.0, 5.0, 4.0, 6.0}) then.add(x);
    for (double const x : {1.0, 4.0, 2.0}) later.add(x);
    // scipy.stats.ttest_ind([3, 5, 4, 6], [1, 4, 2], equal_var=False, alternative="greater")
    EXPECT_NEAR(evaluation::p_of_fall(then, later), 0.059595353309, 1e-9);
    EXPECT_EQ(evaluation::p_of_fall({1, 3, 9}, later), 1) << "one loss has no spread";
}

TEST(Overfitting, SamplesAtEqualDistancesStandForAll) {
    std::vector<model::SampleResult> samples;
    for (std::int64_t i = 0; i < 5000; ++i)
        samples.push_back({.sample = i, .loss = static_cast<double>(i), .trained = 2});
    SampleLosses const found = evaluation::losses_to_compare(samples);
    EXPECT_EQ(found.losses.size(), 1667U);
    EXPECT_EQ(found.losses[1], 3);
    EXPECT_EQ(found.labels[1], 2);
    EXPECT_DOUBLE_EQ(found.mean, 4999.0 / 4);
}

TEST(Overfitting, AnotherValidationSplitBeginsAnew) {
    run::Gap gap;
    evaluation::follow_gap(gap, 1, {1.0, {1, 1}, {1, 1}});
    EXPECT_EQ(gap.lowest_step, 1);
    EXPECT_FALSE(evaluation::follow_gap(gap, 2, {5.0, {5, 5, 5}, {1, 1, 1}}));
    EXPECT_EQ(gap.lowest_step, 2);
    EXPECT_FALSE(evaluation::follow_gap(gap, 3, {NAN, {NAN, 5, 5}, {1, 1, 1}}));
    EXPECT_EQ(gap.lowest_step, 2);
}

} // namespace
} // namespace trireme::framework
