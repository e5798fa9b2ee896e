#include <gtest/gtest.h>

#include "cluster/thread_communicator.hpp"
#include "tests/cluster/conformance.hpp"

namespace trireme::cluster {
namespace {

class ThreadConformance : public testing::TestWithParam<int> {};

TEST_P(ThreadConformance, EveryCollective) {
    run_as_threads(GetParam(), test::expect_conformance);
}

INSTANTIATE_TEST_SUITE_P(Ranks, ThreadConformance, testing::Values(1, 2, 3, 4, 64));

} // namespace
} // namespace trireme::cluster
