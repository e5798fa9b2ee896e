// The stand-in itself: what it must notice, it notices.
#include <gmock/gmock.h>

#include <cuda_runtime.h>
#include <nccl.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <thread>

#include "tests/standin/machine.hpp"

namespace trireme::standin {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

struct Streams : testing::Test {
    explicit Streams(Options const& options = {}) : machine(options) {}
    Machine machine;
    cudaStream_t a = nullptr, b = nullptr;
    cudaEvent_t event = nullptr;
    float* memory = nullptr;

    void SetUp() override {
        cudaSetDevice(0);
        cudaStreamCreateWithFlags(&a, cudaStreamNonBlocking);
        cudaStreamCreateWithFlags(&b, cudaStreamNonBlocking);
        cudaEventCreateWithFlags(&event, cudaEventDisableTiming);
        cudaMallocAsync(reinterpret_cast<void**>(&memory), 4 * sizeof(float), a);
    }
    void write_on(cudaStream_t stream) {
        launch(stream, "writer", {}, {{memory, 16}}, [m = memory] { m[0] = 7; });
    }
    void read_on(cudaStream_t stream) {
        launch(stream, "reader", {{memory, 16}}, {}, [] {});
    }
};

TEST_F(Streams, AReadThatAnEventOrdersIsFine) {
    write_on(a);
    cudaEventRecord(event, a);
    cudaStreamWaitEvent(b, event, 0);
    read_on(b);
    EXPECT_THAT(machine.violations(), IsEmpty());
}

TEST_F(Streams, AReadThatNothingOrdersIsAViolationWhateverTheTiming) {
    write_on(a);
    machine.drain(); // it is over, but nothing says so
    read_on(b);
    EXPECT_THAT(machine.violations(),
                ElementsAre(HasSubstr("reader on stream 1 of device 0 is not ordered after "
                                      "writer on stream 0 of device 0")));
}

TEST_F(Streams, AnEventRecordedBeforeTheWorkDoesNotOrderIt) {
    cudaEventRecord(event, a);
    write_on(a);
    cudaStreamWaitEvent(b, event, 0);
    read_on(b);
    EXPECT_THAT(machine.violations(), ElementsAre(HasSubstr("not ordered")));
}

TEST_F(Streams, AWriteAfterAReadNeedsAnOrderToo) {
    cudaEventRecord(event, a);
    cudaStreamWaitEvent(b, event, 0);
    read_on(b);
    write_on(a);
    EXPECT_THAT(
        machine.violations(),
        ElementsAre(HasSubstr("writer on stream 0 of device 0 is not ordered after reader")));
}

TEST_F(Streams, MemoryFreedUnderAReaderOrUsedAfterwards) {
    cudaEventRecord(event, a);
    cudaStreamWaitEvent(b, event, 0);
    read_on(b);
    cudaFreeAsync(memory, a);
    read_on(a);
    EXPECT_THAT(machine.violations(),
                ElementsAre(HasSubstr("free on stream 0 of device 0 is not ordered after reader"),
                            HasSubstr("touches memory that is not allocated")));
}

TEST_F(Streams, FreshMemoryAndMemoryBeingWrittenHoldNaN) {
    EXPECT_TRUE(std::isnan(memory[1]));
    bool poisoned = false;
    launch(a, "first", {}, {{memory, 16}}, [&] { memory[0] = 7; });
    launch(a, "second", {}, {{memory, 16}}, [&] { poisoned = std::isnan(memory[0]); });
    machine.drain();
    EXPECT_TRUE(poisoned);
}

TEST_F(Streams, TheHostLooksTooEarly) {
    void* pinned = nullptr;
    cudaHostAlloc(&pinned, 16, cudaHostAllocDefault);
    write_on(a);
    cudaMemcpyAsync(pinned, memory, 16, cudaMemcpyDefault, a);
    host_access({pinned, 16}, false);
    EXPECT_THAT(
        machine.violations(),
        ElementsAre(HasSubstr("read by the host on host of device 0 is not ordered after copy")));
}

TEST_F(Streams, TheDefaultStreamIsRefused) {
    EXPECT_EQ(cudaEventRecord(event, nullptr), cudaErrorInvalidResourceHandle);
    EXPECT_THAT(machine.violations(), ElementsAre(HasSubstr("default stream")));
}

TEST(Machine, ADroppedWaitIsAViolation) {
    Machine const machine({.drop = {1}});
    cudaSetDevice(0);
    count_orderings();
    cudaStream_t a = nullptr, b = nullptr;
    cudaEvent_t event = nullptr;
    void* memory = nullptr;
    cudaStreamCreateWithFlags(&a, cudaStreamNonBlocking);
    cudaStreamCreateWithFlags(&b, cudaStreamNonBlocking);
    cudaEventCreateWithFlags(&event, cudaEventDisableTiming);
    cudaMallocAsync(&memory, 16, a);
    cudaEventRecord(event, a);
    cudaStreamWaitEvent(b, event, 0);
    launch(b, "reader", {{memory, 16}}, {}, [] {});
    EXPECT_THAT(machine.orderings(), ElementsAre("record of event", "stream waits for event"));
    EXPECT_THAT(machine.violations(), ElementsAre(HasSubstr("not ordered after allocation")));
}

TEST(Machine, AThreadThatHasNotChosenItsDeviceIsAViolation) {
    Machine const machine({});
    cudaEvent_t event = nullptr;
    cudaEventCreateWithFlags(&event, cudaEventDisableTiming);
    cudaEventQuery(event);
    EXPECT_THAT(machine.violations(),
                ElementsAre("a thread uses CUDA and has not chosen its device"));
}

struct LazyStreams : Streams {
    LazyStreams() : Streams({.lazy = true}) {}
};

TEST_F(LazyStreams, RunWhatIsWaitedForAndNoMore) {
    std::atomic<int> done = 0;
    launch(a, "waited for", {}, {}, [&] { ++done; });
    cudaEventRecord(event, a);
    launch(a, "not waited for", {}, {}, [&] { ++done; });
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    EXPECT_EQ(done, 0);
    compute_on(b);
    cudaStreamWaitEvent(b, event, 0);
    EXPECT_EQ(done, 1);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    EXPECT_EQ(done, 1);
    machine.drain();
    EXPECT_EQ(done, 2);
}

TEST_F(Streams, ABlindHostSeesNoNewEvent) {
    cudaEventRecord(event, a);
    machine.drain();
    {
        BlindHost const blind;
        EXPECT_EQ(cudaEventQuery(event), cudaSuccess);
        cudaEventRecord(event, a);
        machine.drain();
        EXPECT_EQ(cudaEventQuery(event), cudaErrorNotReady);
    }
    EXPECT_EQ(cudaEventQuery(event), cudaSuccess);
}

TEST(Machine, WhatStopsTheHostIsCounted) {
    Machine const machine({});
    cudaSetDevice(0);
    cudaStream_t stream = nullptr;
    cudaEvent_t event = nullptr;
    void* pinned = nullptr;
    cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
    cudaEventCreateWithFlags(&event, cudaEventDisableTiming);
    cudaEventRecord(event, stream);
    EXPECT_EQ(host_calls(), HostCalls{});
    cudaHostAlloc(&pinned, 16, cudaHostAllocDefault);
    cudaFreeHost(pinned);
    cudaStreamSynchronize(stream);
    cudaDeviceSynchronize();
    EXPECT_EQ(host_calls(), (HostCalls{.blocking = 4, .queries = 0}));
    cudaEventQuery(event);
    EXPECT_EQ(host_calls(), (HostCalls{.blocking = 4, .queries = 1}));
    EXPECT_EQ(machine.synchronisations(), 2U);
}

ncclResult_t settle(ncclComm_t comm) {
    ncclResult_t state = ncclInProgress;
    while (state == ncclInProgress) ncclCommGetAsyncError(comm, &state);
    return state;
}

/// Two ranks in one thread, each with a stream: what they queue meets on the streams' threads.
struct Pair {
    explicit Pair(Machine&) {
        ncclUniqueId id;
        ncclGetUniqueId(&id);
        for (int r = 0; r < 2; ++r) {
            ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
            config.blocking = 0;
            cudaSetDevice(r);
            cudaStreamCreateWithFlags(&stream[r], cudaStreamNonBlocking);
            cudaMallocAsync(&memory[r], 64, stream[r]);
            cudaMemsetAsync(memory[r], r + 1, 64, stream[r]);
            ncclCommInitRankConfig(&comm[r], 2, id, r, &config);
        }
        EXPECT_EQ(settle(comm[0]), ncclSuccess);
    }
    ~Pair() {
        for (auto* c : comm) ncclCommAbort(c);
    }
    cudaStream_t stream[2];
    void* memory[2];
    ncclComm_t comm[2];
};

TEST(NcclStandin, RanksThatCallDifferentThingsFail) {
    Machine machine({.devices = 2});
    Pair pair(machine);
    ncclAllReduce(pair.memory[0], pair.memory[0], 4, ncclFloat32, ncclSum, pair.comm[0],
                  pair.stream[0]);
    ncclAllReduce(pair.memory[1], pair.memory[1], 8, ncclFloat32, ncclSum, pair.comm[1],
                  pair.stream[1]);
    machine.drain();
    EXPECT_EQ(settle(pair.comm[0]), ncclInvalidUsage);
    EXPECT_THAT(ncclGetLastError(pair.comm[0]), HasSubstr("all-reduce of 4 elements"));
}

TEST(NcclStandin, SendsThatWaitForEachOtherAreADeadlock) {
    Machine machine({.devices = 2, .patience = std::chrono::milliseconds(100)});
    Pair pair(machine);
    for (int r = 0; r < 2; ++r) { // not in one group: each rank's receive waits behind its send
        ncclSend(pair.memory[r], 1, ncclFloat32, 1 - r, pair.comm[r], pair.stream[r]);
        ncclRecv(pair.memory[r], 1, ncclFloat32, 1 - r, pair.comm[r], pair.stream[r]);
    }
    machine.drain();
    EXPECT_EQ(settle(pair.comm[0]), ncclInvalidUsage);
    EXPECT_THAT(ncclGetLastError(pair.comm[0]), HasSubstr("peers that do not come: send"));
}

TEST(NcclStandin, TwoThreadsInOneCommunicatorAreAViolation) {
    // Long enough for another thread to begin while a call is in progress.
    Machine machine({.devices = 2, .settling = std::chrono::milliseconds(500)});
    Pair pair(machine);
    auto ask_in_another_thread = [&] {
        std::thread([&] {
            cudaSetDevice(0);
            ncclResult_t state = ncclSuccess;
            ncclCommGetAsyncError(pair.comm[0], &state);
        }).join();
    };
    ask_in_another_thread(); // no call is in progress
    EXPECT_THAT(machine.violations(), IsEmpty());
    for (int r = 0; r < 2; ++r)
        ncclAllReduce(pair.memory[r], pair.memory[r], 4, ncclFloat32, ncclSum, pair.comm[r],
                      pair.stream[r]);
    ask_in_another_thread();
    EXPECT_THAT(machine.violations(),
                ElementsAre("two threads call one NCCL communicator at a time"));
    EXPECT_EQ(settle(pair.comm[0]), ncclSuccess);
}

TEST(NcclStandin, ASumOfBf16IsRoundedAtEachHop) {
    Machine machine({.devices = 2});
    Pair pair(machine);
    for (int r = 0; r < 2; ++r)
        launch(pair.stream[r], "fill", {}, {{pair.memory[r], 2}}, [r, m = pair.memory[r]] {
            *static_cast<std::uint16_t*>(m) = r == 0 ? 0x3F80 : 0x3B80; // 1 and 2^-8
        });
    for (int r = 0; r < 2; ++r)
        ncclAllReduce(pair.memory[r], pair.memory[r], 1, ncclBfloat16, ncclSum, pair.comm[r],
                      pair.stream[r]);
    machine.drain();
    EXPECT_EQ(*static_cast<std::uint16_t*>(pair.memory[0]), 0x3F80);
    EXPECT_THAT(machine.violations(), IsEmpty());
}

} // namespace
} // namespace trireme::standin
