#include <gtest/gtest.h>

#include "cluster/copy_ahead.hpp"
#include "cluster/error.hpp"
#include "cluster/nccl_communicator.hpp"
#include "cluster/thread_communicator.hpp"

namespace trireme::cluster {
namespace {

TEST(NoNccl, NeitherStreamsNorMemoryOfADevice) {
    EXPECT_THROW(Stream(), InputError);
    EXPECT_THROW(Event(), InputError);
    EXPECT_THROW(PinnedMemory(1), InputError);
    EXPECT_THROW(CopyAhead(1, 1, nullptr, {}), InputError);
}

TEST(NoNccl, ABuildWithoutItSaysHowToGetIt) {
    auto const control = make_thread_world(1, {});
    try {
        make_nccl_world(*control[0], {}, {});
        FAIL() << "nothing was refused";
    } catch (InputError const& error) {
        EXPECT_NE(std::string(error.what()).find("cmake --preset gpu"), std::string::npos);
    }
}

} // namespace
} // namespace trireme::cluster
