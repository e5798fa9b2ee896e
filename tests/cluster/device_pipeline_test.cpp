// The device path of a training step: a batch copied ahead on a side stream, a kernel that uses it,
// an all-reduce of what the kernel made, and a kernel that uses the sum. The host queues a whole
// step and never waits for the device in it.
#include <gmock/gmock.h>

#include <atomic>
#include <cstring>

#include "cluster/copy_ahead.hpp"
#include "cluster/copy_back.hpp"
#include "cluster/error.hpp"
#include "tests/cluster/nccl_on_standin.hpp"

namespace trireme::test {
namespace {

using cluster::Buffer;
using cluster::Communicator;
using cluster::CopyAhead;

constexpr int kSteps = 6, kDepth = 2;
constexpr std::size_t kCount = 256;

float token(int rank, int step) {
    return static_cast<float>(10 * rank + step + 1);
}

/// A step's memory: gradient = 2 * batch, weight += sum of gradients over the ranks.
struct Step {
    explicit Step(void* stream)
        : gradient(kCount * sizeof(float), stream), weight(kCount * sizeof(float), stream),
          result(kCount * sizeof(float)) {
        cluster::clear_on_stream(weight.data(), kCount * sizeof(float), stream);
    }
    cluster::DeviceMemory gradient, weight;
    cluster::PinnedMemory result;
};

standin::Range floats(void const* data) {
    return {data, kCount * sizeof(float)};
}

void send_batch(CopyAhead& batches, int rank, int step) {
    auto const pinned = batches.stage();
    standin::host_access({pinned.data(), pinned.size()}, true);
    std::vector<float> const values(kCount, token(rank, step));
    std::memcpy(pinned.data(), values.data(), pinned.size());
    batches.send();
}

/// `again`: another batch is to come where this one is.
void queue_step(Communicator& world, CopyAhead& batches, Step& step, void* compute, bool again) {
    auto const* const batch = static_cast<float const*>(batches.take());
    auto* const gradient = static_cast<float*>(step.gradient.data());
    auto* const weight = static_cast<float*>(step.weight.data());
    standin::launch(compute, "backward", {floats(batch)}, {floats(gradient)}, [=] {
        for (std::size_t i = 0; i < kCount; ++i) gradient[i] = 2 * batch[i];
    });
    if (again) batches.done();
    Buffer const sum{gradient, kCount, cluster::DType::f32, cluster::Device::cuda, compute};
    world.all_reduce(sum, cluster::ReduceOp::sum, "gradient").wait(compute);
    standin::launch(compute, "update", {floats(gradient), floats(weight)}, {floats(weight)}, [=] {
        for (std::size_t i = 0; i < kCount; ++i) weight[i] += gradient[i];
    });
}

float expected_weight(int ranks) {
    float total = 0;
    for (int s = 0; s < kSteps; ++s)
        for (int r = 0; r < ranks; ++r) total += 2 * token(r, s);
    return total;
}

void train(Communicator& world) {
    cluster::Stream const compute;
    Step step(compute.handle());
    {
        CopyAhead batches(kCount * sizeof(float), kDepth, compute.handle(),
                          std::chrono::seconds(60));
        for (int s = 0; s < kDepth - 1; ++s) send_batch(batches, world.rank(), s);
        for (int s = 0; s < kSteps; ++s) {
            if (s + kDepth - 1 < kSteps) send_batch(batches, world.rank(), s + kDepth - 1);
            queue_step(world, batches, step, compute.handle(), s + kDepth < kSteps);
        }
    }
    cluster::copy_on_stream(step.result.data(), step.weight.data(), kCount * sizeof(float),
                            compute.handle());
    cluster::Event end;
    end.record(compute.handle());
    end.wait(std::chrono::seconds(60), "the last step");
    standin::host_access(floats(step.result.data()), false);
    auto const* const weight = static_cast<float const*>(step.result.data());
    for (std::size_t i = 0; i < kCount; ++i)
        if (weight[i] != expected_weight(world.size())) {
            ADD_FAILURE() << "weight " << i << " is " << weight[i] << ", not "
                          << expected_weight(world.size());
            return;
        }
}

TEST(DevicePipeline, StepsRunWithoutTheHostUnderManyTimings) {
    for (int ranks : {1, 2, 3})
        for (std::uint64_t seed = 1; seed <= 10; ++seed) {
            StandinOutcome const outcome = run_on_standin(ranks, {.seed = seed}, train);
            EXPECT_THAT(outcome.violations, testing::IsEmpty()) << "seed " << seed;
            EXPECT_EQ(outcome.synchronisations, 0U);
        }
}

TEST(DevicePipeline, EveryOrderingIsNeeded) {
    expect_every_ordering_needed("pipeline of steps", 2, train);
}

/// The device is held up until every step has been queued: a host that waited anywhere in a step
/// would never get there.
TEST(DevicePipeline, TheHostQueuesWholeStepsAheadOfTheDevice) {
    run_on_standin(1, {}, [](Communicator& world) {
        cluster::Stream const compute;
        auto const queued = std::make_shared<std::atomic<bool>>(false);
        CopyAhead batches(kCount * sizeof(float), kDepth, compute.handle(),
                          std::chrono::seconds(60));
        Step step(compute.handle());
        standin::launch(compute.handle(), "hold", {}, {}, [queued] { queued->wait(false); });
        standin::HostCalls const before = standin::host_calls();
        for (int s = 0; s < kDepth; ++s) send_batch(batches, world.rank(), s);
        for (int s = 0; s < kDepth; ++s) queue_step(world, batches, step, compute.handle(), false);
        EXPECT_EQ(standin::host_calls(), before);
        EXPECT_EQ(batches.stalls(), 0U);
        *queued = true;
        queued->notify_all();
    });
}

/// A step that ends in an exception leaves a batch that was taken and is not done: its memory
/// outlives the kernel.
TEST(CopyAhead, MemoryOfABatchThatIsNotDoneOutlivesItsReader) {
    auto unfinished = [](Communicator&) {
        cluster::Stream const compute;
        CopyAhead batches(64, 2, compute.handle(), std::chrono::seconds(60));
        standin::host_access({batches.stage().data(), 64}, true);
        batches.send();
        void const* const batch = batches.take();
        standin::launch(compute.handle(), "forward", {{batch, 64}}, {}, [] {});
    };
    expect_every_ordering_needed("a batch that is not done", 1, unfinished);
}

TEST(CopyAhead, RefusesCallsOutOfOrder) {
    run_on_standin(1, {}, [](Communicator&) {
        cluster::Stream const compute;
        CopyAhead batches(64, 1, compute.handle(), std::chrono::seconds(60));
        EXPECT_THROW(static_cast<void>(batches.take()), cluster::JobError);
        standin::host_access({batches.stage().data(), 64}, true);
        batches.send();
        EXPECT_THROW(batches.stage(), cluster::JobError);
        EXPECT_THROW(batches.done(), cluster::JobError);
        batches.take();
        batches.done();
        EXPECT_NO_THROW(batches.stage());
    });
}

/// Results of steps, each read before the next is sent, and one that an exception leaves unread.
TEST(CopyBack, EveryOrderingIsNeeded) {
    auto results = [](Communicator&) {
        cluster::Stream const compute;
        cluster::DeviceMemory const value(64, compute.handle());
        cluster::CopyBack back(64, compute.handle(), std::chrono::seconds(60));
        for (int step = 1; step <= 3; ++step) {
            standin::launch(compute.handle(), "norm", {}, {{value.data(), 64}},
                            [data = value.data(), step] { std::memset(data, step, 64); });
            back.send(value.data(), 64);
            if (step == 3) continue;
            auto const read = back.read();
            standin::host_access({read.data(), read.size()}, false);
            EXPECT_EQ(read[63], std::byte{static_cast<unsigned char>(step)});
        }
    };
    expect_every_ordering_needed("results on their way back", 1, results);
}

TEST(CopyBack, RefusesCallsOutOfOrder) {
    run_on_standin(1, {}, [](Communicator&) {
        cluster::Stream const compute;
        cluster::DeviceMemory const value(64, compute.handle());
        cluster::clear_on_stream(value.data(), 64, compute.handle());
        cluster::CopyBack back(32, compute.handle(), std::chrono::seconds(60));
        EXPECT_THROW(back.read(), cluster::JobError);
        EXPECT_THROW(back.send(value.data(), 64), cluster::JobError);
        back.send(value.data(), 32);
        EXPECT_THROW(back.send(value.data(), 32), cluster::JobError);
        EXPECT_EQ(back.read().size(), 32U);
    });
}

} // namespace
} // namespace trireme::test
