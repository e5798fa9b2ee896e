#include <gtest/gtest.h>

#include "cluster/error.hpp"
#include "cluster/fault.hpp"

namespace trireme::cluster {
namespace {

TEST(Fault, TextsThatAreNone) {
    auto const faults = parse_faults("step/loss:1:7:sleep=0.5,save/file:*:*:kill");
    ASSERT_EQ(faults.size(), 2U);
    EXPECT_EQ(faults[0].rank, 1);
    EXPECT_EQ(faults[0].step, 7);
    EXPECT_EQ(faults[0].value, 0.5);
    EXPECT_EQ(faults[1].rank, -1);
    EXPECT_EQ(faults[1].action, FaultAction::kill);
    for (auto const* text : {"step", "a:1:2:burn", "a:x:2:kill", "a:1:2:sleep=", ":1:2:kill",
                             "a:1:2:kill,", "a:1:2:none"})
        EXPECT_THROW(parse_faults(text), InputError) << text;
}

} // namespace
} // namespace trireme::cluster
