// The caching allocator's policy, on requests whose fate its source tells.
#include <gtest/gtest.h>

#include <array>

#include "framework/planning/caching_allocator.hpp"

namespace trireme::test {
namespace {

using framework::planning::CachingAllocator;

constexpr std::int64_t kMega = 1 << 20;
std::array<int, 8> const blocks{};

TEST(CachingAllocator, SegmentsAreTwoTwentyOrAsManyMegabytesAsAreAsked) {
    CachingAllocator allocator;
    allocator.allocated(&blocks[0], 1);
    EXPECT_EQ(allocator.reserved(), 2 * kMega);
    EXPECT_EQ(allocator.most_allocated(), 512);
    allocator.allocated(&blocks[1], kMega + 1);
    EXPECT_EQ(allocator.reserved(), 22 * kMega);
    allocator.allocated(&blocks[2], 33 * kMega - 1);
    EXPECT_EQ(allocator.reserved(), 56 * kMega);
    EXPECT_EQ(allocator.device_calls(), 3);
}

TEST(CachingAllocator, ABlockIsCutFromTheSmallestPartThatIsLargeEnough) {
    CachingAllocator allocator;
    allocator.allocated(&blocks[0], 40 * kMega);
    allocator.allocated(&blocks[1], 30 * kMega);
    allocator.freed(&blocks[0]);
    allocator.freed(&blocks[1]);
    allocator.allocated(&blocks[2], 24 * kMega); // leaves 6 of 30
    allocator.allocated(&blocks[3], 38 * kMega); // leaves 2 of 40
    allocator.allocated(&blocks[4], 6 * kMega);
    EXPECT_EQ(allocator.device_calls(), 2);
    allocator.allocated(&blocks[5], 3 * kMega);
    EXPECT_EQ(allocator.device_calls(), 3);
}

/// A rest of a megabyte and less stays with its block, where blocks are larger than that.
TEST(CachingAllocator, SmallRestsAreNotCutOff) {
    CachingAllocator allocator;
    allocator.allocated(&blocks[0], 20 * kMega);
    allocator.freed(&blocks[0]);
    allocator.allocated(&blocks[1], 19 * kMega);
    EXPECT_EQ(allocator.most_allocated(), 20 * kMega);
}

TEST(CachingAllocator, NeighboursThatAreFreeBecomeOne) {
    CachingAllocator allocator;
    for (std::size_t i = 0; i < 3; ++i) allocator.allocated(&blocks[i], 6 * kMega);
    for (std::size_t const i : {0, 2, 1}) allocator.freed(&blocks[i]);
    allocator.freed(&blocks[7]); // of which it knows nothing
    allocator.allocated(&blocks[3], 19 * kMega);
    EXPECT_EQ(allocator.device_calls(), 1);
    EXPECT_EQ(allocator.reserved(), 20 * kMega);
}

TEST(CachingAllocator, SmallAndLargeBlocksDoNotShareSegments) {
    CachingAllocator allocator;
    allocator.allocated(&blocks[0], 20 * kMega);
    allocator.freed(&blocks[0]);
    allocator.allocated(&blocks[1], kMega);
    EXPECT_EQ(allocator.device_calls(), 2);
}

} // namespace
} // namespace trireme::test
