#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "data/loader.hpp"

namespace trireme::data {
namespace {

TEST(MicroBatches, HoldEverySampleOnceWithinTheLimit) {
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
        std::vector<std::int64_t> ids, lengths;
        for (std::int64_t i = 0; i < 1 + static_cast<std::int64_t>(seed); ++i) {
            ids.push_back(100 + i);
            lengths.push_back(1 + ordered_sample(seed, 97, i));
        }
        auto const micro_batches =
            cut_into_micro_batches(ids, lengths, {.tokens_per_micro_batch = 80});
        std::vector<std::int64_t> seen;
        for (auto const& micro_batch : micro_batches) {
            std::int64_t tokens = 0;
            for (auto id : micro_batch) tokens += lengths[static_cast<std::size_t>(id - 100)];
            EXPECT_TRUE(tokens <= 80 || micro_batch.size() == 1);
            EXPECT_TRUE(std::ranges::is_sorted(micro_batch))
                << "samples keep the order of the batch";
            seen.insert(seen.end(), micro_batch.begin(), micro_batch.end());
        }
        std::ranges::sort(seen);
        EXPECT_EQ(seen, ids);
    }
}

TEST(MicroBatches, AreBalanced) {
    std::vector<std::int64_t> ids(64), lengths;
    std::iota(ids.begin(), ids.end(), 0);
    for (auto id : ids) lengths.push_back(5 + ordered_sample(1, 60, id));
    auto const micro_batches =
        cut_into_micro_batches(ids, lengths, {.tokens_per_micro_batch = 512});
    std::int64_t least = 1 << 30, most = 0;
    for (auto const& micro_batch : micro_batches) {
        std::int64_t tokens = 0;
        for (auto id : micro_batch) tokens += lengths[static_cast<std::size_t>(id)];
        least = std::min(least, tokens);
        most = std::max(most, tokens);
    }
    EXPECT_LT(static_cast<double>(most - least), 0.05 * static_cast<double>(most));
}

} // namespace
} // namespace trireme::data
