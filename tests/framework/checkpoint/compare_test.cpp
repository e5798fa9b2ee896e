#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <limits>

#include "framework/checkpoint/compare.hpp"
#include "framework/checkpoint/pieces.hpp"
#include "framework/checkpoint/writer.hpp"
#include "tests/support/temporary_folder.hpp"

namespace trireme::framework {
namespace {

/// A checkpoint of one tensor "weight/w" of these values, and one "weight/same".
void write(std::string const& folder, std::vector<float> const& w, nlohmann::json const& state) {
    std::atomic<bool> const abandoned = false;
    std::vector<float> const same{1, 2, 3};
    auto const n = static_cast<std::int64_t>(w.size());
    checkpoint::RankFile const file = checkpoint::write_rank_file(
        folder, "rank-00000.h5",
        {checkpoint::flat_range("weight", "w", "f32", {n}, {0, n, w.data()}),
         checkpoint::flat_range("weight", "same", "f32", {3}, {0, 3, same.data()})},
        abandoned);
    checkpoint::write_manifest(folder,
                               {.state = state, .tensors = file.tensors, .files = {file.file}});
}

checkpoint::Difference difference(std::vector<float> const& a, std::vector<float> const& b,
                                  nlohmann::json const& state_a = nlohmann::json::object(),
                                  nlohmann::json const& state_b = nlohmann::json::object()) {
    test::TemporaryFolder const first, second;
    write(first.path(), a, state_a);
    write(second.path(), b, state_b);
    return checkpoint::compare(checkpoint::Reader(first.path()), checkpoint::Reader(second.path()));
}

TEST(Compare, EqualToTheBit) {
    auto const d = difference({1, -2, 3}, {1, -2, 3}, {{"seed", 1}, {"saved_at", "x"}},
                              {{"seed", 1}, {"saved_at", "y"}});
    EXPECT_TRUE(d.none());
    EXPECT_EQ(d.equal_tensors, 2);
}

TEST(Compare, TheLargestDifferenceAndTheNormOfAll) {
    auto const d = difference({3, 4, 0}, {3, 4.5, 0.25});
    ASSERT_EQ(d.tensors.size(), 1U);
    EXPECT_EQ(d.tensors[0].tensor, "weight/w");
    EXPECT_EQ(d.tensors[0].unequal, 2);
    EXPECT_DOUBLE_EQ(d.tensors[0].largest, 0.5);
    EXPECT_DOUBLE_EQ(d.tensors[0].relative, std::sqrt(0.25 + 0.0625) / 5);
    EXPECT_EQ(d.equal_tensors, 1);
}

TEST(Compare, EachElementCountsWhereverPiecesEnd) {
    checkpoint::SmallPieces const small; // seven elements at a time
    for (std::size_t const n : {6U, 7U, 8U, 14U, 15U}) {
        std::vector<float> const a(n, 2);
        for (std::size_t i = 0; i < n; ++i) {
            auto b = a;
            b[i] = 3;
            auto const d = difference(a, b);
            ASSERT_EQ(d.tensors.size(), 1U) << i << " of " << n;
            EXPECT_EQ(d.tensors[0].unequal, 1);
            EXPECT_EQ(d.tensors[0].largest, 1);
            EXPECT_DOUBLE_EQ(d.tensors[0].relative, 1 / std::sqrt(4.0 * static_cast<double>(n)));
        }
    }
}

TEST(Compare, ZerosOfTwoSignsAndWhatIsNoNumber) {
    float const nan = std::numeric_limits<float>::quiet_NaN();
    EXPECT_TRUE(difference({nan}, {nan}).none()) << "the same bits";
    auto const zero = difference({0.0F}, {-0.0F});
    ASSERT_EQ(zero.tensors.size(), 1U) << "other bits";
    EXPECT_EQ(zero.tensors[0].largest, 0);
    EXPECT_EQ(zero.tensors[0].relative, 0);
    EXPECT_TRUE(std::isnan(difference({1, 2, 3}, {nan, 2, 4}).tensors.at(0).largest));
    EXPECT_TRUE(std::isinf(difference({0}, {1}).tensors.at(0).relative));
}

TEST(Compare, AnotherShape) {
    auto const d = difference({1, 2}, {1, 2, 3});
    ASSERT_EQ(d.tensors.size(), 1U);
    EXPECT_EQ(d.tensors[0].what, "f32 [2] -> f32 [3]");
}

TEST(Compare, StateByPathAndConfigurationByLine) {
    nlohmann::json const a{{"progress", {{"step", 4}, {"best", 0.5}}},
                           {"config", "optimizer:\n  clip: 1\n  beta1: 0.9\n"}},
        b{{"progress", {{"step", 8}, {"best", 0.5}}},
          {"config", "optimizer:\n  clip: 2\n  beta1: 0.9\n"},
          {"ranks", 2}};
    EXPECT_EQ(checkpoint::state_differences(a, b),
              (std::vector<std::string>{"config: only in the first: clip: 1",
                                        "config: only in the second: clip: 2",
                                        "progress/step: 4 -> 8", "ranks: nothing -> 2"}));
    EXPECT_TRUE(checkpoint::state_differences(a, a).empty());
    std::vector<double> many(100, 1.5), other = many;
    other[7] = 2;
    EXPECT_EQ(checkpoint::state_differences({{"losses", many}}, {{"losses", other}}),
              (std::vector<std::string>{"losses: 1 of 100 entries differ"}));
    EXPECT_EQ(checkpoint::state_differences({{"losses", many}}, {{"losses", {1}}}),
              (std::vector<std::string>{"losses: a list of 100 -> [1]"}));
}

} // namespace
} // namespace trireme::framework
