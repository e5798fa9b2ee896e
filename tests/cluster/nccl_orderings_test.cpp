// Every event of the NCCL back end is needed: the conformance suite notices when any one of them is
// left out.
#include <gtest/gtest.h>

#include <cstring>

#include "tests/cluster/nccl_on_standin.hpp"

namespace trireme::test {
namespace {

using cluster::Buffer;
using cluster::Communicator;
using Waiting = DevicePlace::Waiting;

TEST(NcclOrderings, ConformanceWaitingOnTheDevice) {
    expect_every_ordering_needed("conformance, waits on the device", 2,
                                 conformance(Waiting::on_device));
}

std::vector<std::string> needless_of(int ranks, Body const& body) {
    std::vector<std::string> needless;
    for (auto const& row : leave_out_each_ordering(ranks, body))
        if (row.notice == Notice::none) needless.push_back(row.what);
    return needless;
}

/// All but the host's wait for a group of one: it queues nothing, and who reads the result is
/// behind the same stream.
TEST(NcclOrderings, ConformanceWaitingOnTheHost) {
    EXPECT_EQ(needless_of(2, conformance(Waiting::on_host)),
              (std::vector<std::string>{"record of event", "host looks at event"}));
}

/// The producer's stream, the consumer's stream and a third that reads the result too.
void three_streams(Communicator& world) {
    using cluster::DType;
    StandinPlace in(Waiting::on_device), out(Waiting::on_device);
    cluster::Stream third;
    auto const n = static_cast<std::size_t>(world.size());
    std::vector<std::byte> const own(64, std::byte{1});
    Buffer const from = in.upload(own, DType::u8);
    Buffer const to = out.upload(std::vector<std::byte>(64 * n), DType::u8);
    cluster::Work work = world.all_gather(from, to, "streams");
    work.wait(out.stream());
    work.wait(third.handle());
    work.wait(in.stream());
    auto read_on = [&](void* stream) {
        standin::launch(stream, "reader", {{to.data, to.bytes()}}, {}, [] {});
    };
    read_on(out.stream());
    read_on(third.handle());
    cluster::clear_on_stream(from.data, from.bytes(), in.stream());
    cluster::follow(out.stream(), third.handle()); // `to` is freed on its own stream
    EXPECT_EQ(in.download(from), std::vector<std::byte>(64));
    EXPECT_EQ(out.download(to), std::vector<std::byte>(64 * n, std::byte{1}));
}

TEST(NcclOrderings, BuffersOfDifferentStreamsAndSeveralReaders) {
    expect_every_ordering_needed("three streams", 2, three_streams);
}

/// A group of one moves nothing, and still orders the consumer's stream after the producer's,
/// `times` times.
void alone(Communicator& world, int times) {
    StandinPlace producer(Waiting::on_device), consumer(Waiting::on_device);
    Buffer const values =
        producer.upload(std::vector<std::byte>(64, std::byte{3}), cluster::DType::u8);
    cluster::Work work = world.all_reduce(values, cluster::ReduceOp::sum, "alone");
    for (int i = 0; i < times; ++i) work.wait(consumer.stream());
    standin::launch(consumer.stream(), "reader", {{values.data, values.bytes()}}, {}, [] {});
    cluster::follow(producer.stream(), consumer.stream()); // where `values` is freed
    EXPECT_EQ(producer.download(values), std::vector<std::byte>(64, std::byte{3}));
}

TEST(NcclOrderings, AGroupOfOneOrdersItsStreams) {
    expect_every_ordering_needed("a group of one", 1, [](Communicator& world) { alone(world, 1); });
}

TEST(NcclOrderings, TheHostWaitsForAGroupOfOne) {
    expect_every_ordering_needed(
        "a group of one, waited for on the host", 1, [](Communicator& world) {
            cluster::Stream const producer;
            cluster::PinnedMemory const values(64);
            standin::launch(producer.handle(), "writer", {}, {{values.data(), 64}},
                            [data = values.data()] { std::memset(data, 3, 64); });
            Buffer const buffer{values.data(), 64, cluster::DType::u8, cluster::Device::cuda,
                                producer.handle()};
            world.all_reduce(buffer, cluster::ReduceOp::sum, "alone").wait();
            standin::host_access({values.data(), 64}, false);
            EXPECT_EQ(static_cast<char const*>(values.data())[63], 3);
        });
}

/// The control of the tests above: an ordering that is not needed is told from those that are.
TEST(NcclOrderings, AnOrderingTwiceIsNotNeeded) {
    std::vector<std::string> const twice{"record of event", "stream waits for event",
                                         "record of event", "stream waits for event"};
    EXPECT_EQ(needless_of(1, [](Communicator& world) { alone(world, 2); }), twice);
}

} // namespace
} // namespace trireme::test
