#include "framework/parallelize/memory_pool.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

namespace trireme::framework::parallelize {
namespace {

constexpr std::size_t kMega = 1 << 20;

TEST(MemoryPool, BlocksAreAlignedLieInThePoolAndKeepWhatIsWritten) {
    MemoryPool pool(64 * kMega);
    std::vector<std::pair<unsigned char*, std::size_t>> blocks;
    for (std::size_t const bytes : {std::size_t{1}, kMega + 1, 3 * kMega, std::size_t{200000}}) {
        auto* const block = static_cast<unsigned char*>(pool.take(bytes));
        ASSERT_NE(block, nullptr);
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block) % 64, 0U);
        EXPECT_TRUE(pool.holds(block));
        std::memset(block, static_cast<int>(blocks.size() + 1), bytes);
        blocks.emplace_back(block, bytes);
    }
    for (std::size_t i = 0; i < blocks.size(); ++i)
        for (std::size_t at = 0; at < blocks[i].second; ++at) ASSERT_EQ(blocks[i].first[at], i + 1);
    int here = 0;
    EXPECT_FALSE(pool.holds(&here));
    for (auto const& [block, bytes] : blocks) pool.give_back(block);
}

TEST(MemoryPool, GapsJoinAndAreTakenBeforeNewMemory) {
    MemoryPool pool(256 * kMega);
    std::vector<void*> blocks;
    for (int i = 0; i < 16; ++i) blocks.push_back(pool.take(4 * kMega));
    std::size_t const extent = pool.extent();
    for (int i = 4; i < 12; ++i) pool.give_back(blocks[static_cast<std::size_t>(i)]);
    void* const joined = pool.take(32 * kMega);
    EXPECT_EQ(joined, blocks[4]);
    EXPECT_EQ(pool.extent(), extent);
    pool.give_back(joined);
    // The smallest gap that fits, and not the first.
    pool.give_back(blocks[14]);
    EXPECT_EQ(pool.take(3 * kMega), blocks[14]);
    EXPECT_EQ(pool.extent(), extent);
}

TEST(MemoryPool, GivesNothingWhereThereIsNoRoom) {
    MemoryPool none(0);
    EXPECT_EQ(none.take(64), nullptr);
    int here = 0;
    EXPECT_FALSE(none.holds(&here));
    MemoryPool pool(8 * kMega);
    EXPECT_EQ(pool.take(16 * kMega), nullptr);
    EXPECT_EQ(pool.take(~std::size_t{0} - 64), nullptr);
    void* const block = pool.take(6 * kMega);
    ASSERT_NE(block, nullptr);
    EXPECT_EQ(pool.take(6 * kMega), nullptr);
    pool.give_back(block);
    EXPECT_EQ(pool.take(6 * kMega), block);
    // Blocks of others may lie right behind its 8 MiB.
    EXPECT_TRUE(pool.holds(static_cast<char*>(block) + 6 * kMega));
    EXPECT_FALSE(pool.holds(static_cast<char*>(block) + 8 * kMega));
}

/// Each thread finds in its blocks what it wrote there, whatever the others take and give back.
TEST(MemoryPool, SeveralThreadsShareIt) {
    MemoryPool pool(512 * kMega);
    auto const work = [&pool](unsigned id) {
        std::mt19937 random(id);
        std::vector<std::pair<unsigned*, std::size_t>> mine;
        for (int i = 0; i < 2000; ++i) {
            std::size_t const count = 1000 + random() % 100000;
            auto* const block = static_cast<unsigned*>(pool.take(count * sizeof(unsigned)));
            ASSERT_NE(block, nullptr);
            block[0] = block[count - 1] = id;
            mine.emplace_back(block, count);
            if (mine.size() < 20) continue;
            auto const gone = mine.begin() + static_cast<std::ptrdiff_t>(random() % mine.size());
            ASSERT_EQ(gone->first[0], id);
            ASSERT_EQ(gone->first[gone->second - 1], id);
            pool.give_back(gone->first);
            mine.erase(gone);
        }
        for (auto const& [block, count] : mine) pool.give_back(block);
    };
    std::vector<std::jthread> threads;
    for (unsigned id = 1; id <= 4; ++id) threads.emplace_back(work, id);
    threads.clear();
    EXPECT_LE(pool.extent(), 80 * kMega); // 80 blocks of 0.4 MB at most at a time
}

} // namespace
} // namespace trireme::framework::parallelize
