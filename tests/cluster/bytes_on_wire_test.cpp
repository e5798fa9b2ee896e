#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "cluster/fake_communicator.hpp"

namespace trireme::cluster {
namespace {

struct Recorder : CallObserver {
    std::vector<CallRecord> calls;
    std::vector<std::string> names;
    std::size_t finished = 0;
    void on_start(std::string_view, CallRecord const& call) override {
        calls.push_back(call);
        names.emplace_back(call.name);
    }
    void on_finish(std::string_view, std::uint64_t) override { ++finished; }
};

TEST(FakeCommunicator, RecordsWhatARankOfAnyWorldWouldSend) {
    auto const recorder = std::make_shared<Recorder>();
    auto const world = make_fake_world(5, 1024, {.observer = recorder});
    std::vector<float> a(1024), b(1024 * 1024);
    world->all_reduce({a.data(), a.size(), DType::f32}, ReduceOp::sum, "reduce").wait();
    world->all_gather({a.data(), a.size(), DType::f32}, {b.data(), b.size(), DType::f32}, "gather")
        .wait();
    world
        ->reduce_scatter({b.data(), b.size(), DType::f32}, {a.data(), a.size(), DType::f32},
                         ReduceOp::sum, "scatter")
        .wait();
    ASSERT_EQ(recorder->calls.size(), 3U);
    EXPECT_EQ(recorder->calls[0].bytes_on_wire, 2 * 1023 * 4096 / 1024U);
    EXPECT_EQ(recorder->calls[1].bytes_on_wire, 1023U * 4096);
    EXPECT_EQ(recorder->calls[2].bytes_on_wire, 1023U * 4096);
    EXPECT_EQ(recorder->calls[2].sequence, 2U);
    EXPECT_EQ(recorder->names[1], "gather");
    EXPECT_EQ(recorder->finished, 3U);
}

} // namespace
} // namespace trireme::cluster
