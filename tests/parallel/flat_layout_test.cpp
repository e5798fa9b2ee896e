#include "parallel/flat_layout.hpp"

#include <gtest/gtest.h>

#include <random>

#include "parallel/budgets.hpp"

namespace trireme::parallel {
namespace {

/// Checks [Note: blocks never straddle a cut] element by element of every block.
void expect_sound(FlatLayout const& layout) {
    std::int64_t const whole = budgets.block;
    std::int64_t end = 0;
    for (std::size_t i = 0; i < layout.count.size(); ++i) {
        EXPECT_EQ(layout.offset[i] % kAlign, 0);
        EXPECT_GE(layout.offset[i], end) << "tensor " << i << " overlaps its neighbour";
        end = layout.offset[i] + layout.count[i];
        for (std::int64_t block = 0; block < layout.count[i]; block += whole) {
            std::int64_t const first = layout.offset[i] + block;
            std::int64_t const last =
                layout.offset[i] + std::min(block + whole, layout.count[i]) - 1;
            EXPECT_EQ(first / layout.part_size(), last / layout.part_size())
                << "a cut runs through a block of tensor " << i;
            EXPECT_EQ(first / whole, last / whole);
        }
    }
    EXPECT_LE(end, layout.total);
    EXPECT_EQ(layout.total % (whole * layout.parts), 0);
    EXPECT_EQ(layout.part_size() % whole, 0);
}

TEST(FlatLayout, HoldsForRandomTensorsAndCuts) {
    std::mt19937_64 random(7);
    for (int trial = 0; trial < 200; ++trial) {
        std::vector<std::int64_t> counts;
        for (int i = 0; i < 12; ++i)
            counts.push_back(1 + static_cast<std::int64_t>(random() % (i % 3 ? 900 : 20000)));
        for (int parts : {1, 2, 3, 4, 7, 64}) expect_sound(lay_out(counts, parts));
    }
}

TEST(FlatLayout, HoldsForSmallBlocks) {
    SmallBudgets const small;
    EXPECT_GT(lay_out({900, 3, 70}, 2).total, 900) << "several blocks";
    EXPECT_LT(lay_out({900, 3, 70}, 2).total, kBlock);
    for (int parts : {1, 2, 3, 4, 7, 64})
        expect_sound(lay_out({900, 3, 70, 64, 65, 1, 63, 4747}, parts));
}

TEST(FlatLayout, OffsetsDoNotDependOnTheNumberOfParts) {
    std::vector<std::int64_t> const counts{384, 147456, 384, 1536, 5000, 3};
    EXPECT_EQ(lay_out(counts, 1).offset, lay_out(counts, 5).offset);
}

TEST(FlatLayout, SmallTensorsShareABlock) {
    FlatLayout const layout = lay_out({384, 384, 384, 384}, 1);
    EXPECT_EQ(layout.total, kBlock);
    EXPECT_EQ(layout.offset[3], 3 * 384);
}

} // namespace
} // namespace trireme::parallel
