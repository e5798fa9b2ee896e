#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <vector>

#include "data/loader.hpp"

namespace trireme::data {
namespace {

TEST(Order, EachEpochIsAPermutationOfItsOwn) {
    for (std::int64_t const n : {1, 2, 3, 10, 1000}) {
        std::vector<std::int64_t> former;
        for (std::int64_t epoch = 0; epoch < 3; ++epoch) {
            std::vector<std::int64_t> order;
            for (std::int64_t i = 0; i < n; ++i)
                order.push_back(ordered_sample(7, n, epoch * n + i));
            std::set<std::int64_t> const unique(order.begin(), order.end());
            EXPECT_EQ(unique.size(), static_cast<std::size_t>(n));
            EXPECT_GE(*unique.begin(), 0);
            EXPECT_LT(*unique.rbegin(), n);
            if (n == 1000) {
                EXPECT_NE(order, former);
            }
            former = order;
        }
    }
    EXPECT_NE(ordered_sample(1, 1'000'000, 0), ordered_sample(2, 1'000'000, 0));
}

/// Neighbours in the order are unrelated: mean distance of a random pair in [0, n) is n / 3.
TEST(Order, IsShuffled) {
    constexpr std::int64_t n = 10'000;
    double distance = 0;
    for (std::int64_t i = 0; i + 1 < n; ++i)
        distance +=
            std::abs(static_cast<double>(ordered_sample(3, n, i) - ordered_sample(3, n, i + 1)));
    EXPECT_NEAR(distance / n, n / 3.0, n * 0.01);
}

} // namespace
} // namespace trireme::data
