#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "parallel/micro_batch_ranks.hpp"

namespace trireme::parallel {
namespace {

TEST(MicroBatchRanks, EachMicroBatchIsOfOneRankInTheOrderOfTheStep) {
    for (std::int64_t const count : {0, 1, 2, 3, 7, 8})
        for (std::int64_t const ranks : {1, 2, 3, 8}) {
            std::vector<std::int64_t> all(static_cast<std::size_t>(count));
            std::iota(all.begin(), all.end(), 0);
            std::int64_t met = 0, most = 0;
            for (std::int64_t rank = 0; rank < ranks; ++rank) {
                auto const own = own_micro_batches(all, rank, ranks);
                for (std::size_t step = 0; step < own.size(); ++step) {
                    EXPECT_EQ(data_rank_of(own[step], ranks), rank);
                    EXPECT_EQ(own[step] / ranks, static_cast<std::int64_t>(step));
                }
                met += std::ssize(own);
                most = std::max(most, std::ssize(own));
            }
            EXPECT_EQ(met, count);
            EXPECT_EQ(micro_steps_of(count, ranks), most);
        }
}

} // namespace
} // namespace trireme::parallel
