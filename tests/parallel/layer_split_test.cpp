#include "parallel/layer_split.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <string>

#include "cluster/error.hpp"

namespace trireme::parallel {
namespace {

using Parts = std::vector<int>;

TEST(LayerSplit, SumsToTheModelAndDiffersByAtMostOne) {
    for (int layers = 1; layers <= 100; ++layers)
        for (int parts = 1; parts <= layers; ++parts) {
            Parts const split = layers_of_parts(layers, parts);
            ASSERT_EQ(split.size(), static_cast<std::size_t>(parts));
            ASSERT_EQ(std::accumulate(split.begin(), split.end(), 0), layers);
            auto const [least, most] = std::ranges::minmax(split);
            ASSERT_LE(most - least, 1);
            ASSERT_LE(split.back(), split.front());
        }
}

TEST(LayerSplit, TheMiddleTakesTheRemainder) {
    EXPECT_EQ(layers_of_parts(12, 4), (Parts{3, 3, 3, 3}));
    EXPECT_EQ(layers_of_parts(14, 4), (Parts{3, 4, 4, 3}));
    EXPECT_EQ(layers_of_parts(13, 4), (Parts{3, 4, 3, 3}));
    EXPECT_EQ(layers_of_parts(15, 4), (Parts{4, 4, 4, 3}));
    EXPECT_EQ(layers_of_parts(7, 2), (Parts{4, 3}));
    EXPECT_EQ(layers_of_parts(10, 2, 4), (Parts{1, 1, 1, 2, 2, 1, 1, 1}));
}

TEST(LayerSplit, AGivenListIsTaken) {
    EXPECT_EQ(layers_of_parts(12, 3, 1, {3, 6, 3}), (Parts{3, 6, 3}));
    EXPECT_EQ(layers_of_parts(12, 4, 1, {0, 6, 6, 0}), (Parts{0, 6, 6, 0}));
}

std::string split_refusal(int layers, int stages, int chunks, Parts const& given = {}) {
    try {
        layers_of_parts(layers, stages, chunks, given);
    } catch (cluster::InputError const& error) {
        return error.what();
    }
    return "accepted";
}

TEST(LayerSplit, MorePartsThanLayersAreRefusedFirst) {
    EXPECT_EQ(split_refusal(6, 4, 2, {1, 2}),
              "parallel: pipeline 4 x virtual_stages 2 = 8 parts, but the model has 6 layers; "
              "legal: pipeline 4 x "
              "virtual_stages 1 = 4, or pipeline 3 x virtual_stages 2 = 6");
    EXPECT_EQ(
        split_refusal(6, 8, 1),
        "parallel: pipeline 8 x virtual_stages 1 = 8 parts, but the model has 6 layers; legal: "
        "pipeline 6 x virtual_stages 1 = 6");
    EXPECT_EQ(split_refusal(2, 8, 4),
              "parallel: pipeline 8 x virtual_stages 4 = 32 parts, but the model has 2 layers; "
              "legal: pipeline 2 x virtual_stages 1 = 2");
}

TEST(LayerSplit, AListThatDoesNotFitIsRefusedWithTheNearestThatDoes) {
    EXPECT_EQ(
        split_refusal(12, 2, 1, {6, 5}),
        "parallel.layers_of_parts: [6, 5]: 6 + 5 = 11, but the model has 12 layers; legal: [6, 6]");
    EXPECT_EQ(split_refusal(12, 3, 1, {3, 8, 3}),
              "parallel.layers_of_parts: [3, 8, 3]: 3 + 8 + 3 = 14, "
              "but the model has 12 layers; legal: [3, 6, 3]");
    EXPECT_EQ(split_refusal(12, 3, 1, {6, 6}),
              "parallel.layers_of_parts: [6, 6]: 2 entries, but pipeline 3 x virtual_stages "
              "1 = 3 parts; legal: [4, 4, 4]");
    EXPECT_EQ(split_refusal(12, 3, 1, {6, 0, 6}),
              "parallel.layers_of_parts: [6, 0, 6]: a part between "
              "the first and the last has no layer, or one has less "
              "than none; legal: [4, 4, 4]");
    EXPECT_NE(split_refusal(12, 3, 1, {-1, 7, 6}), "accepted");
    EXPECT_NE(split_refusal(12, 1, 1, {0}), "accepted");
}

TEST(LayerSplit, WhatItProposesIsLegal) {
    EXPECT_EQ(split_refusal(12, 2, 1, {6, 6}), "accepted");
    EXPECT_EQ(split_refusal(12, 3, 1, {3, 6, 3}), "accepted");
    EXPECT_EQ(split_refusal(6, 4, 1), "accepted");
    EXPECT_EQ(split_refusal(6, 3, 2), "accepted");
}

} // namespace
} // namespace trireme::parallel
