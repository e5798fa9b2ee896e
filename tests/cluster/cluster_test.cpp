#include <gtest/gtest.h>

#include <cmath>
#include <thread>

#include "cluster/environment.hpp"
#include "cluster/error.hpp"
#include "cluster/fake_communicator.hpp"
#include "cluster/fault.hpp"
#include "cluster/philox.hpp"
#include "cluster/sha256.hpp"
#include "cluster/thread_communicator.hpp"
#include "cluster/topology.hpp"
#include "cluster/xxh3.hpp"
#include "tests/cluster/conformance.hpp"

namespace trireme::cluster {
namespace {

class ThreadConformance : public testing::TestWithParam<int> {};

TEST_P(ThreadConformance, EveryCollective) {
    run_as_threads(GetParam(), test::expect_conformance);
}

INSTANTIATE_TEST_SUITE_P(Ranks, ThreadConformance, testing::Values(1, 2, 3, 4, 64));

TEST(Work, WaitingForAStreamOnABackEndOfTheHostWaitsOnTheHost) {
    run_as_threads(2, [](Communicator& world) {
        double value = world.rank() + 1;
        Work work = world.all_reduce({&value, 1, DType::f64}, ReduceOp::sum, "stream");
        if (world.rank() == 1) std::this_thread::sleep_for(std::chrono::milliseconds(5));
        work.wait(nullptr);
        EXPECT_EQ(value, 3);
        EXPECT_TRUE(work.done());
    });
}

TEST(ThreadCommunicator, OneFailedRankEndsTheOthersWithItsReason) {
    auto body = [](Communicator& world) {
        if (world.rank() == 2) throw JobError("disk on fire");
        world.barrier("never complete");
    };
    try {
        run_as_threads(4, body);
        FAIL();
    } catch (JobError const& error) {
        EXPECT_STREQ(error.what(), "disk on fire");
    }
}

TEST(ThreadCommunicator, AMismatchIsFoundBeforeAnyDataMoves) {
    auto body = [](Communicator& world) {
        double value = 1;
        if (world.rank() == 0)
            world.barrier("one");
        else
            world.broadcast({&value, 1, DType::f64}, 0, "other").wait();
    };
    EXPECT_THROW(run_as_threads(2, body), JobError);
}

TEST(Communicator, DeadlinePassesWhenARankStaysAway) {
    auto body = [](Communicator& world) {
        if (world.rank() == 1) return;
        EXPECT_THROW(world.barrier("lonely"), JobError);
    };
    run_as_threads(2, body, {.deadline = std::chrono::milliseconds(50)});
}

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

TEST(Communicator, RefusesWrongSizes) {
    auto const world = make_fake_world(0, 4, {});
    std::vector<float> a(10), b(30);
    EXPECT_THROW(static_cast<void>(world->all_gather({a.data(), 10, DType::f32},
                                                     {b.data(), 30, DType::f32}, "short")),
                 JobError);
    EXPECT_THROW(static_cast<void>(world->broadcast({a.data(), 10, DType::f32}, 4, "root")),
                 JobError);
}

TEST(WorkDeathTest, DroppingAWorkInFlightAborts) {
    auto drop = [] {
        auto const world = make_thread_world(2, {});
        float value = 0;
        static_cast<void>(world[0]->all_reduce({&value, 1, DType::f32}, ReduceOp::sum, "dropped"));
    };
    EXPECT_DEATH(drop(),
                 "all_reduce #0 'dropped' in group world was dropped before it was waited for");
}

TEST(Environment, RefusesManyTasksThatSeeAWorldOfOne) {
    EXPECT_THROW(refuse_singletons("4", "2", 1), InputError);
    EXPECT_NO_THROW(refuse_singletons("4", "2", 4));
    EXPECT_NO_THROW(refuse_singletons("1", "0", 1));
    EXPECT_NO_THROW(refuse_singletons(nullptr, nullptr, 1));
}

TEST(Topology, RanksOfOneHostShareItsCores) {
    run_as_threads(3, [](Communicator& world) {
        Topology const t = topology(world);
        EXPECT_EQ(t.local_size, 3);
        EXPECT_EQ(t.local_rank, world.rank());
        EXPECT_EQ(t.cores_per_rank, std::max(1, t.cores / 3));
    });
}

// Vectors of Random123's kat_vectors file for philox4x32-10.
TEST(Philox, KnownAnswers) {
    EXPECT_EQ(philox(0, 0, 0), (PhiloxBlock{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
    constexpr std::uint64_t kOnes = ~std::uint64_t{0};
    EXPECT_EQ(philox(kOnes, kOnes, kOnes),
              (PhiloxBlock{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
    EXPECT_EQ(philox(0x299f31d0a4093822, 0x85a308d3243f6a88, 0x0370734413198a2e),
              (PhiloxBlock{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Hashes, KnownAnswers) {
    Sha256 sha;
    sha.update("a", 1);
    sha.update("bc", 2);
    // FIPS 180-2, B.1
    EXPECT_EQ(sha.hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    // xxHash's test vectors
    EXPECT_EQ(xxh3_hex(nullptr, 0), "99aa06d3014798d86001c324468d497f");
    Xxh3 pieces;
    pieces.update("hello ", 6);
    pieces.update("world", 5);
    EXPECT_EQ(pieces.hex(), xxh3_hex("hello world", 11));
}

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
