// The NCCL back end over the stand-in for NCCL and CUDA (tests/standin): results, refusals,
// deadlines.
#include <gmock/gmock.h>

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "cluster/error.hpp"
#include "cluster/thread_communicator.hpp"
#include "tests/cluster/nccl_on_standin.hpp"

namespace trireme::test {
namespace {

using cluster::Buffer;
using cluster::Communicator;
using cluster::DType;
using cluster::JobError;
using cluster::ReduceOp;
using testing::HasSubstr;
using testing::IsEmpty;
using Waiting = DevicePlace::Waiting;

/// A deadline that is to pass. Before it does, the other calls of a test must have the time that
/// they take on a busy machine.
constexpr std::chrono::milliseconds kHasty{1000};

class NcclConformance : public testing::TestWithParam<int> {};

TEST_P(NcclConformance, EveryCollectiveUnderManyTimings) {
    for (std::uint64_t seed = 1; seed <= 10; ++seed)
        for (auto const waiting : {Waiting::on_device, Waiting::on_host}) {
            StandinOutcome const outcome =
                run_on_standin(GetParam(), {.seed = seed}, conformance(waiting));
            EXPECT_THAT(outcome.violations, IsEmpty()) << "seed " << seed;
            EXPECT_EQ(outcome.synchronisations, 0U);
        }
}

TEST_P(NcclConformance, ChunksOfABufferThatWouldPassTheLimit) {
    StandinOutcome const outcome =
        run_on_standin(GetParam(), {}, conformance(Waiting::on_device), {.chunk_bytes = 1024});
    EXPECT_THAT(outcome.violations, IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Ranks, NcclConformance, testing::Values(1, 2, 3, 4));

/// The text of the error that `body` ends with.
template <typename Error>
std::string error_of(std::function<void()> const& body) {
    try {
        body();
    } catch (Error const& error) {
        return error.what();
    }
    ADD_FAILURE() << "nothing was thrown";
    return {};
}

/// `sharing`: whether we, and whether NCCL, let ranks 1 and 2 of three share GPU 1.
std::string world_on_two_gpus(bool we, bool nccl) {
    standin::Machine const machine({.devices = 2, .ranks_share_devices = nccl});
    cluster::run_as_threads(3, [&](Communicator& control) {
        cluster::NcclOptions const place{.device = std::min(control.rank(), 1), .share_gpus = we};
        auto const world =
            cluster::make_nccl_world(control, place, {.deadline = std::chrono::seconds(10)});
        world->barrier("shared");
    });
    return "made";
}

TEST(NcclWorld, TwoRanksOnOneGpuAreNamed) {
    std::string const error = error_of<cluster::InputError>([] { world_on_two_gpus(false, true); });
    EXPECT_THAT(error, HasSubstr("ranks 1 and 2 on "));
    EXPECT_THAT(error, HasSubstr("GPU-00000000-0000-0000-0000-000000000002"));
    EXPECT_EQ(world_on_two_gpus(true, true), "made");
    EXPECT_THAT(
        error_of<JobError>([] { world_on_two_gpus(true, false); }),
        HasSubstr("ncclCommInitRankConfig: invalid usage: multiple ranks use the same GPU"));
}

TEST(NcclWorld, ADeviceThatIsNotThere) {
    standin::Machine const machine({});
    auto const control = cluster::make_thread_world(1, {});
    EXPECT_THAT(
        error_of<JobError>([&] { cluster::make_nccl_world(*control[0], {.device = 3}, {}); }),
        HasSubstr("cudaSetDevice: invalid device ordinal"));
}

TEST_P(NcclConformance, MemoryOfTheHostTakesTheOtherBackEnd) {
    StandinOutcome const outcome =
        run_on_standin(GetParam(), {}, [](Communicator& world) { expect_conformance(world); });
    EXPECT_THAT(outcome.orderings, IsEmpty());
}

TEST(NcclCommunicator, OneCallTakesOneKindOfMemory) {
    run_on_standin(2, {}, [](Communicator& world) {
        StandinPlace place(Waiting::on_host);
        std::vector<float> all(2);
        Buffer const one = place.upload(std::vector<std::byte>(4), DType::f32);
        EXPECT_THAT(error_of<JobError>([&] {
                        world.all_gather(one, {all.data(), 2, DType::f32}, "mixed").wait();
                    }),
                    HasSubstr("of group world: one call takes memory of the host and of a GPU"));
        Buffer const nowhere{one.data, 1, DType::f32, cluster::Device::cuda, nullptr};
        EXPECT_THAT(error_of<JobError>(
                        [&] { world.all_reduce(nowhere, ReduceOp::sum, "no stream").wait(); }),
                    HasSubstr("NCCL takes memory of a GPU and the stream that orders it"));
    });
}

/// The control of tests/device: what they call a step without a wait of the host could not have had
/// one.
TEST(NcclCommunicator, ABlindHostWaitsInVain) {
    auto waits_blindly = [](Communicator& world) {
        StandinPlace place(Waiting::on_host);
        Buffer const values = place.upload(std::vector<std::byte>(64), DType::f32);
        cluster::Work work = world.all_reduce(values, ReduceOp::sum, "unseen");
        standin::BlindHost const blind;
        EXPECT_THAT(error_of<JobError>([&] { work.wait(); }),
                    HasSubstr("'unseen' in group world passed its deadline"));
    };
    run_on_standin(1, {}, waits_blindly, {.deadline = kHasty});
}

TEST(NcclCommunicator, AMismatchEndsInNcclsOwnWords) {
    auto mismatch = [](Communicator& world) {
        StandinPlace place(Waiting::on_host);
        std::vector<std::byte> const bytes(world.rank() == 0 ? 4 : 8);
        Buffer const values = place.upload(bytes, DType::f32);
        place.wait(world.all_reduce(values, ReduceOp::sum, "mismatch"));
    };
    EXPECT_THAT(error_of<JobError>([&] { run_on_standin(2, {}, mismatch); }),
                HasSubstr("'mismatch' in group world: rank "));
    EXPECT_THAT(error_of<JobError>([&] { run_on_standin(2, {}, mismatch); }),
                HasSubstr("invalid usage: collective 0: rank"));
}

/// Rank 2 does not come. Both others say so, naming the call, and every rank lets NCCL go.
TEST(NcclCommunicator, ARankThatDoesNotComeIsNoticedByAllOthers) {
    std::atomic<int> noticed = 0;
    auto two_come = [&](Communicator& world) {
        if (world.rank() == 2) return;
        StandinPlace place(Waiting::on_host);
        Buffer const values = place.upload(std::vector<std::byte>(64), DType::f32);
        std::string const error = error_of<JobError>(
            [&] { place.wait(world.all_reduce(values, ReduceOp::sum, "gradient/layers.3")); });
        std::string const rank = fmt::format("rank {}@", world.rank());
        EXPECT_THAT(error, testing::StartsWith(rank));
        EXPECT_THAT(
            error,
            HasSubstr(
                " of 3: all_reduce #0 'gradient/layers.3' in group world passed its deadline"));
        ++noticed;
    };
    StandinOutcome const outcome = run_on_standin(3, {}, two_come, {.deadline = kHasty});
    EXPECT_EQ(noticed, 2);
    EXPECT_EQ(outcome.aborts, 3U);
}

/// A second call in flight when the first is given up must not look complete: its kernel ran on
/// without its peers.
TEST(NcclCommunicator, NoCallOfAnAbortedGroupIsComplete) {
    auto two_calls = [](Communicator& world) {
        if (world.rank() == 1) return;
        StandinPlace place(Waiting::on_host);
        Buffer const a = place.upload(std::vector<std::byte>(64), DType::f32);
        Buffer const b = place.upload(std::vector<std::byte>(64), DType::f32);
        cluster::Work first = world.all_reduce(a, ReduceOp::sum, "first");
        cluster::Work second = world.all_reduce(b, ReduceOp::sum, "second");
        EXPECT_THAT(error_of<JobError>([&] { first.wait(); }),
                    HasSubstr("'first' in group world passed its deadline"));
        EXPECT_THAT(error_of<JobError>([&] {
                        cluster::Work going = std::move(second); // dropped while the error passes
                        going.wait();
                    }),
                    HasSubstr("'second' in group world: rank 0@"));
    };
    run_on_standin(2, {}, two_calls, {.deadline = kHasty});
}

TEST(NcclCommunicator, ACallPastItsDeadlineIsAbortedAndTheGroupIsOfNoMoreUse) {
    auto lonely = [](Communicator& world) {
        if (world.rank() == 1) return;
        StandinPlace place(Waiting::on_host);
        Buffer const values = place.upload(std::vector<std::byte>(64), DType::f32);
        auto reduce = [&] { place.wait(world.all_reduce(values, ReduceOp::sum, "lonely")); };
        EXPECT_THAT(error_of<JobError>(reduce),
                    HasSubstr("all_reduce #0 'lonely' in group world passed its deadline of 1 s"));
        EXPECT_THAT(error_of<JobError>(reduce), HasSubstr("this NCCL group was aborted"));
    };
    // Returns only once every stream has run dry: NCCL has let go of the one that waited.
    run_on_standin(2, {}, lonely, {.deadline = kHasty});
}

/// The watch must not ask NCCL about a call while the host is in another: while rank 1 stays away,
/// rank 0 splits the group, whose first call is in flight, and queues more.
TEST(NcclCommunicator, TheWatchAndTheHostAreNotInNcclAtOneTime) {
    auto many_calls = [](Communicator& world) {
        StandinPlace place(Waiting::on_device);
        Buffer const values = place.upload(std::vector<std::byte>(64), DType::f32);
        if (world.rank() == 1) std::this_thread::sleep_for(std::chrono::milliseconds(100));
        for (int i = 0; i < 5; ++i) place.wait(world.all_reduce(values, ReduceOp::sum, "watched"));
        auto const part = world.split(0, world.rank(), "part");
        place.wait(world.all_reduce(values, ReduceOp::sum, "watched"));
    };
    // Longer than the period of the watch.
    StandinOutcome const outcome =
        run_on_standin(2, {.settling = std::chrono::milliseconds(50)}, many_calls);
    EXPECT_THAT(outcome.violations, IsEmpty());
}

TEST(NcclWorld, ASplitThatARankDoesNotJoinPassesItsDeadline) {
    standin::Machine const machine({.devices = 2});
    auto one_splits = [&](Communicator& control) {
        auto const world =
            cluster::make_nccl_world(control, {.device = control.rank()}, {.deadline = kHasty});
        if (control.rank() == 0) world->split(0, 0, "lonely");
    };
    EXPECT_THAT(error_of<JobError>([&] { cluster::run_as_threads(2, one_splits); }),
                HasSubstr("ncclCommSplit passed its deadline of 1000 ms: is every rank there?"));
}

/// The host went on: nobody is there to catch an exception, so the job ends.
void hang_on_the_device() {
    run_on_standin(2, {},
                   [](Communicator& world) {
                       if (world.rank() == 1) std::this_thread::sleep_for(std::chrono::seconds(30));
                       StandinPlace place(Waiting::on_device);
                       Buffer const values = place.upload(std::vector<std::byte>(64), DType::f32);
                       place.wait(world.all_reduce(values, ReduceOp::sum, "lonely"));
                       // waits for the device, as a host does that reads the loss
                       place.download(values);
                   },
                   {.deadline = kHasty});
}

TEST(NcclWatchDeathTest, ACallHandedToTheDeviceEndsTheJobPastItsDeadline) {
    testing::FLAGS_gtest_death_test_style = "threadsafe";
    EXPECT_EXIT(hang_on_the_device(), testing::ExitedWithCode(cluster::kFailed),
                "all_reduce #0 'lonely' in group world passed its deadline on the device");
}

} // namespace
} // namespace trireme::test
