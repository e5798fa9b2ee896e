// Numbers with their nouns, as people write them.
#include "cluster/counted.hpp"

#include <gtest/gtest.h>

namespace trireme::cluster {
namespace {

TEST(Counted, HasThePluralOfItsNoun) {
    EXPECT_EQ(counted(1, "rank"), "1 rank");
    EXPECT_EQ(counted(0, "rank"), "0 ranks");
    EXPECT_EQ(counted(2, "epoch"), "2 epochs");
    EXPECT_EQ(counted(1, "micro-batch"), "1 micro-batch");
    EXPECT_EQ(counted(3, "micro-batch"), "3 micro-batches");
    EXPECT_EQ(counted(1024, "sample", "1,024"), "1,024 samples");
}

} // namespace
} // namespace trireme::cluster
