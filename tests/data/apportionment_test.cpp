#include "data/apportionment.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <numeric>
#include <random>
#include <string>
#include <vector>

namespace trireme::data {
namespace {

using Stages = std::vector<Apportionment::Stage>;

/// Weights of 2 to 8 sources, some of them 0, that change up to 4 times.
Stages some_stages(std::mt19937_64& random) {
    std::size_t const sources = 2 + random() % 7;
    Stages stages;
    std::int64_t from = 0;
    for (std::size_t s = 0, last = random() % 5; s <= last; ++s) {
        std::vector<double> weights;
        for (std::size_t i = 0; i < sources; ++i)
            weights.push_back(random() % 4 == 0 ? 0 : static_cast<double>(1 + random() % 1000) / 7);
        weights[random() % sources] = 1;
        stages.push_back({from, weights});
        from += 1 + static_cast<std::int64_t>(random() % 90);
    }
    return stages;
}

/// Samples that each source should have had after the draw of `place`.
void add_shares(Stages const& stages, std::int64_t place, std::vector<double>& due) {
    auto stage = stages.rbegin();
    while (stage->from > place) ++stage;
    double const all = std::accumulate(stage->weights.begin(), stage->weights.end(), 0.0);
    for (std::size_t i = 0; i < due.size(); ++i) due[i] += stage->weights[i] / all;
}

TEST(Apportionment, HasEveryShareWithinASampleAfterAnyNumberOfDraws) {
    std::mt19937_64 random(5);
    for (int trial = 0; trial < 300; ++trial) {
        Stages const stages = some_stages(random);
        std::size_t const sources = stages.front().weights.size();
        Apportionment const order(stages);
        std::vector<double> due(sources, 0);
        std::vector<std::int64_t> had(sources, 0);
        double const most = 1 - 1.0 / (2.0 * static_cast<double>(sources) - 2) + 1e-6;
        for (std::int64_t place = 0; place < 400; ++place) {
            auto const [source, nth] = order.at(place);
            ASSERT_EQ(nth, had.at(source)++);
            add_shares(stages, place, due);
            for (std::size_t i = 0; i < sources; ++i)
                ASSERT_LE(std::abs(due[i] - static_cast<double>(had[i])), most)
                    << "trial " << trial << ", place " << place << ", source " << i;
        }
        EXPECT_EQ(order.drawn(400), had);
    }
}

TEST(Apportionment, GivesEachPlaceTheSameWhateverWasAskedBefore) {
    Apportionment const forward({{0, {3, 2, 1.7, 0.1}}, {90'000, {0, 1, 1, 5}}});
    Apportionment const jumping({{0, {3, 2, 1.7, 0.1}}, {90'000, {0, 1, 1, 5}}});
    std::vector<Apportionment::Draw> draws;
    for (std::int64_t place = 0; place < 200'000; ++place) draws.push_back(forward.at(place));
    std::mt19937_64 random(9);
    for (std::int64_t const first : {65'535, 65'536, 65'537, 131'072, 131'071, 0, 199'999})
        EXPECT_EQ(jumping.at(first), draws[static_cast<std::size_t>(first)]) << first;
    for (int i = 0; i < 50; ++i) {
        std::size_t const place = random() % draws.size();
        EXPECT_EQ(jumping.at(static_cast<std::int64_t>(place)), draws[place]) << place;
    }
}

std::string order_of(Stages const& stages, std::int64_t places) {
    Apportionment const order(stages);
    std::string text;
    for (std::int64_t place = 0; place < places; ++place)
        text += static_cast<char>('a' + order.at(place).source);
    return text;
}

/// Made by tests/data/apportionment_oracle.py, which computes with fractions.
TEST(Apportionment, GivesTheOrderThatTheOracleGives) {
    EXPECT_EQ(order_of({{0, {1}}}, 5), "aaaaa");
    EXPECT_EQ(order_of({{0, {3, 1}}}, 16), "aabaaabaaabaaaba");
    EXPECT_EQ(order_of({{0, {7, 2, 1}}}, 40), "aabaacaabaaabaacaabaaabaacaabaaabaacaaba");
    EXPECT_EQ(order_of({{0, {5, 4, 3, 2, 1}}}, 45),
              "abcadbacbaebacdabcadbacbaebacdabcadbacbaebacd");
    EXPECT_EQ(order_of({{0, {1, 0, 1}}, {10, {0, 1, 3}}, {25, {1, 1, 1}}}, 40),
              "acacacacacccbcccbcccbcccbcabcabcabcabcab");
}

/// The share of a source that ends exactly with an epoch is exactly an epoch.
TEST(Apportionment, BySizesEverySampleComesOnceAnEpoch) {
    Apportionment const order({{0, {1000, 37, 261, 1}}});
    EXPECT_EQ(order.drawn(1299), (std::vector<std::int64_t>{1000, 37, 261, 1}));
    EXPECT_EQ(order.drawn(12990), (std::vector<std::int64_t>{10000, 370, 2610, 10}));
}

} // namespace
} // namespace trireme::data
