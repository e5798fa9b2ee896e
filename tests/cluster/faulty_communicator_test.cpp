#include "cluster/faulty_communicator.hpp"

#include <gtest/gtest.h>

#include <array>
#include <thread>
#include <vector>

#include "cluster/fault.hpp"
#include "cluster/thread_communicator.hpp"
#include "tests/cluster/conformance.hpp"

namespace trireme::cluster {
namespace {

class FaultyCommunicator : public testing::Test {
  protected:
    ~FaultyCommunicator() override { set_faults(""); }
};

/// Remembers what calls looked like when they began.
struct Calls : CallObserver {
    void on_start(std::string_view group, CallRecord const& call) override {
        all.push_back(std::string(group) + " " + name_of(call.op) + " " + name_of(call.dtype) +
                      " " + std::to_string(call.count));
    }
    void on_finish(std::string_view, std::uint64_t) override {}
    std::vector<std::string> all;
};

TEST_F(FaultyCommunicator, IsNotMadeWhereNoFaultWaits) {
    set_faults("");
    auto world = make_thread_world(1, {});
    Communicator const* const plain = world[0].get();
    EXPECT_EQ(with_faults(std::move(world[0])).get(), plain);
}

TEST_F(FaultyCommunicator, HandsEveryCollectiveOn) {
    set_faults("elsewhere:*:*:skip");
    for (int const ranks : {1, 3}) {
        auto world = make_thread_world(ranks, {});
        std::vector<std::thread> threads;
        for (auto& one : world) {
            Communicator const* const plain = one.get();
            one = with_faults(std::move(one));
            EXPECT_NE(one.get(), plain);
            threads.emplace_back([&one] { test::expect_conformance(*one); });
        }
        for (auto& thread : threads) thread.join();
    }
}

TEST_F(FaultyCommunicator, MakesOneAllReduceAnotherCallOrNone) {
    set_faults("call/all_reduce:*:*:skip,call/all_reduce:*:*:resize,call/all_reduce:*:*:retype");
    auto world = make_thread_world(1, {});
    auto const faulty = with_faults(std::move(world[0]));
    auto const calls = std::make_shared<Calls>();
    faulty->set_observer(calls); // after it was made, as the watch does
    auto const group = faulty->split(0, 0, "part");
    std::array<float, 4> values{};
    for (int i = 0; i < 4; ++i)
        group->all_reduce({values.data(), values.size(), DType::f32}, ReduceOp::sum, "x").wait();
    EXPECT_EQ(calls->all,
              (std::vector<std::string>{"world split u8 0", "part all_reduce f32 2",
                                        "part all_reduce i32 4", "part all_reduce f32 4"}));
    EXPECT_EQ(group->calls(), 3U);
    EXPECT_FALSE(faults_wait());
}

} // namespace
} // namespace trireme::cluster
