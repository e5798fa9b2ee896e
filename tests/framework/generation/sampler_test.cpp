// Choosing the next token: against transformers' processors (tests/golden/make_generation.py) and
// against chance.
#include "framework/generation/sampler.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "cluster/error.hpp"
#include "cluster/file.hpp"

namespace trireme::framework {
namespace {

TEST(Sampler, DistributionsAreThoseOfTransformers) {
    auto const cases =
        nlohmann::json::parse(cluster::read_file(std::string(TRIREME_GOLDEN) + "/processors.json"));
    ASSERT_EQ(cases.size(), 8U);
    for (auto const& c : cases) {
        auto logits = c["logits"].get<std::vector<double>>();
        generation::penalize_repetition(logits, c["seen"].get<std::vector<std::int32_t>>(),
                                        c["penalty"]);
        auto const ours = generation::candidates(
            logits, {.temperature = c["temperature"], .top_k = c["top_k"], .top_p = c["top_p"]});
        std::vector<double> all(logits.size(), 0.0);
        for (std::size_t i = 0; i < ours.tokens.size(); ++i)
            all[static_cast<std::size_t>(ours.tokens[i])] = ours.probabilities[i];
        auto const wanted = c["probabilities"].get<std::vector<double>>();
        for (std::size_t t = 0; t < all.size(); ++t)
            EXPECT_NEAR(all[t], wanted[t], 1e-12)
                << "token " << t << " top_k " << c["top_k"] << " top_p " << c["top_p"];
    }
}

TEST(Sampler, RepetitionPenaltyIsAppliedOncePerToken) {
    std::vector<double> logits{2.0, -2.0, 0.0, 3.0, -1.0};
    generation::penalize_repetition(logits, std::vector<std::int32_t>{0, 1, 0, 2, 0}, 2.0);
    EXPECT_EQ(logits, (std::vector<double>{1.0, -4.0, 0.0, 3.0, -1.0}));
}

/// Chi-square of 20,000 draws against the exact distribution, which `keep` of 8 tokens are in.
void expect_drawn_as_stated(generation::Sampling const& sampling, std::vector<int> const& keep) {
    std::vector<float> const logits{0.1F, 1.9F, -0.4F, 1.2F, 0.9F, -2.0F, 1.5F, 0.3F};
    std::vector<double> exact(logits.size(), 0.0);
    double total = 0;
    for (int const t : keep)
        total += exact[static_cast<std::size_t>(t)] = std::exp(
            static_cast<double>(logits[static_cast<std::size_t>(t)]) / sampling.temperature);
    constexpr int kDraws = 20000;
    std::map<std::int32_t, int> drawn;
    std::vector<std::int32_t> seen;
    for (int i = 0; i < kDraws; ++i) {
        if (i % 100 == 0) seen.clear(); // 200 prompts, 100 positions each
        ++drawn[generation::choose(logits, seen, i / 100, sampling).token];
        seen.push_back(0);
    }
    double chi_square = 0;
    for (std::size_t t = 0; t < exact.size(); ++t) {
        double const expected = kDraws * exact[t] / total,
                     found = drawn[static_cast<std::int32_t>(t)];
        if (exact[t] == 0)
            EXPECT_EQ(found, 0) << "token " << t << " is cut off";
        else
            chi_square += (found - expected) * (found - expected) / expected;
    }
    // 99.9 % quantiles of 1 to 7 degrees of freedom. The stream is fixed, so this passes always or
    // never.
    constexpr double kLimits[] = {0, 10.83, 13.82, 16.27, 18.47, 20.52, 22.46, 24.32};
    EXPECT_LT(chi_square, kLimits[keep.size() - 1]);
    EXPECT_GT(chi_square, 1e-3) << "too good for chance";
}

TEST(Sampler, DrawsFollowTheExactDistribution) {
    expect_drawn_as_stated({.temperature = 1.0}, {0, 1, 2, 3, 4, 5, 6, 7});
    expect_drawn_as_stated({.temperature = 0.5}, {0, 1, 2, 3, 4, 5, 6, 7});
    expect_drawn_as_stated({.temperature = 1.0, .top_k = 4}, {1, 6, 3, 4});
    // Probabilities fall 0.33, 0.22, 0.16, 0.12, ...: the first four are the fewest that reach 0.8.
    expect_drawn_as_stated({.temperature = 1.0, .top_p = 0.8}, {1, 6, 3, 4});
    expect_drawn_as_stated({.temperature = 2.0, .top_k = 5, .top_p = 0.6, .seed = 7}, {1, 6, 3});
}

TEST(Sampler, RandomNumbersBelongToSeedPromptAndPosition) {
    std::vector<float> const logits(1000, 0.0F);
    generation::Sampling const sampling{.temperature = 1.0, .seed = 5};
    std::vector<std::int32_t> const two{1, 2}, other{8, 9}, three{1, 2, 3};
    auto const token = [&](std::vector<std::int32_t> const& seen, std::int64_t prompt,
                           generation::Sampling const& s) {
        return generation::choose(logits, seen, prompt, s).token;
    };
    EXPECT_EQ(token(two, 4, sampling), token(other, 4, sampling))
        << "what was seen is no key, its length is";
    EXPECT_NE(token(two, 4, sampling), token(three, 4, sampling));
    EXPECT_NE(token(two, 4, sampling), token(two, 5, sampling));
    EXPECT_NE(token(two, 4, sampling), token(two, 4, {.temperature = 1.0, .seed = 6}));
    EXPECT_NEAR(generation::choose(logits, two, 4, sampling).log_probability, -std::log(1000.0),
                1e-12);
}

TEST(Sampler, GreedyTakesTheLowestOfEqualTokens) {
    std::vector<float> const logits{1.0F, 3.0F, 3.0F, 2.0F};
    EXPECT_EQ(generation::choose(logits, {}, 0, {}).token, 1);
    EXPECT_THROW(generation::choose(std::vector<float>{1.0F, std::nanf("")}, {}, 0, {}),
                 cluster::JobError);
}

TEST(Sampler, RefusesOptionsThatMeanNothing) {
    for (generation::Sampling const& bad :
         {generation::Sampling{.temperature = -1},
          generation::Sampling{.temperature = 1, .top_k = -1},
          generation::Sampling{.temperature = 1, .top_p = 0},
          generation::Sampling{.temperature = 1, .top_p = 1.5},
          generation::Sampling{.repetition_penalty = 0}, generation::Sampling{.top_k = 3},
          generation::Sampling{.temperature = std::nan("")}})
        EXPECT_THROW(generation::check_sampling(bad), cluster::InputError);
    EXPECT_NO_THROW(generation::check_sampling(
        {.temperature = 1, .top_k = 3, .top_p = 0.5, .repetition_penalty = 1.2}));
}

} // namespace
} // namespace trireme::framework
