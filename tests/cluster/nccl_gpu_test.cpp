// The conformance suite on NCCL itself: ctest -L gpu where there is a GPU. All ranks use GPU 0, so
// that one is enough; with TRIREME_TEST_GPU_EACH=1 each rank takes the one of its number.
#include <gtest/gtest.h>

#include <cstdlib>

#include "cluster/error.hpp"
#include "cluster/nccl_communicator.hpp"
#include "tests/cluster/device_place.hpp"
#include "tests/support/mpi_world.hpp"

namespace trireme::test {
namespace {

using Waiting = DevicePlace::Waiting;

std::unique_ptr<cluster::Communicator> nccl_world(cluster::CommunicatorOptions const& options) {
    bool const each = std::getenv("TRIREME_TEST_GPU_EACH") != nullptr;
    return cluster::make_nccl_world(
        world(), {.device = each ? world().rank() : 0, .share_gpus = !each}, options);
}

TEST(NcclOnAGpu, ConformanceWaitingOnTheDevice) {
    auto const nccl = nccl_world({.deadline = std::chrono::seconds(60)});
    DevicePlace place(Waiting::on_device);
    expect_conformance_at(*nccl, place);
}

TEST(NcclOnAGpu, ConformanceWaitingOnTheHost) {
    auto const nccl = nccl_world({.deadline = std::chrono::seconds(60)});
    DevicePlace place(Waiting::on_host);
    expect_conformance_at(*nccl, place);
}

TEST(NcclOnAGpu, ChunksOfABufferThatWouldPassTheLimit) {
    auto const nccl = nccl_world({.deadline = std::chrono::seconds(60), .chunk_bytes = 1 << 16});
    DevicePlace place(Waiting::on_device);
    expect_conformance_at(*nccl, place);
}

TEST(NcclOnAGpu, TwoRanksOnOneGpuAreRefusedUnlessAskedFor) {
    if (world().size() == 1) GTEST_SKIP() << "needs another rank";
    EXPECT_THROW(cluster::make_nccl_world(world(), {.device = 0}, {}), cluster::InputError);
}

} // namespace
} // namespace trireme::test
