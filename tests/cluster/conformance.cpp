#include "tests/cluster/conformance.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <thread>

namespace trireme::test {

namespace {

using cluster::Buffer;
using cluster::Communicator;
using cluster::DType;
using cluster::Message;
using cluster::ReduceOp;

constexpr std::size_t kCount = 1003; ///< odd, and more than one chunk where chunks are small

template <typename T>
constexpr DType dtype_of() {
    if constexpr (std::is_same_v<T, float>) return DType::f32;
    if constexpr (std::is_same_v<T, double>) return DType::f64;
    if constexpr (std::is_same_v<T, std::uint16_t>) return DType::bf16;
    return DType::i64;
}

template <typename T>
Buffer upload(Place& place, std::vector<T> const& values) {
    std::vector<std::byte> bytes(values.size() * sizeof(T));
    std::memcpy(bytes.data(), values.data(), bytes.size());
    return place.upload(bytes, dtype_of<T>());
}

/// Each element against `expected(i)`; the first that differs is shown.
template <typename T, typename Expected>
void expect_values(Place& place, Buffer const& buffer, Expected const& expected, char const* what) {
    std::vector<std::byte> const bytes = place.download(buffer);
    std::vector<T> values(buffer.count);
    std::memcpy(values.data(), bytes.data(), bytes.size());
    for (std::size_t i = 0; i < values.size(); ++i)
        if (values[i] != static_cast<T>(expected(i))) {
            ADD_FAILURE() << what << ": element " << i << " is " << values[i] << ", not "
                          << static_cast<T>(expected(i));
            return;
        }
}

template <typename T, typename Value>
std::vector<T> filled(std::size_t count, Value const& value) {
    std::vector<T> values(count);
    for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<T>(value(i));
    return values;
}

std::int64_t sum_of_ranks(Communicator const& c) {
    return std::int64_t{c.size()} * (c.size() - 1) / 2;
}

template <typename T>
void expect_all_reduce(Communicator& c, Place& place) {
    auto const own =
        filled<T>(kCount, [&](std::size_t i) { return c.rank() + static_cast<int>(i); });
    Buffer const values = upload(place, own);
    place.wait(c.all_reduce(values, ReduceOp::sum, "sum"));
    auto total = [&](std::size_t i) {
        return sum_of_ranks(c) + c.size() * static_cast<std::int64_t>(i);
    };
    expect_values<T>(place, values, total, "sum");
    Buffer const highest = upload(place, own);
    place.wait(c.all_reduce(highest, ReduceOp::max, "max"));
    expect_values<T>(
        place, highest, [&](std::size_t i) { return c.size() - 1 + static_cast<int>(i); }, "max");
}

std::uint16_t nearest_bf16(float x) {
    auto const bits = std::bit_cast<std::uint32_t>(x);
    return static_cast<std::uint16_t>((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
}

/// 1 + n x 2^-8: each bf16 addition alone would round the small part away; float32 accumulation
/// keeps it.
void expect_bf16_sums_round_once(Communicator& c, Place& place) {
    std::uint16_t const own = nearest_bf16(c.rank() == 0 ? 1.0F : 0.00390625F);
    std::uint16_t const total = nearest_bf16(1.0F + static_cast<float>(c.size() - 1) * 0.00390625F);
    Buffer const values = upload(place, std::vector<std::uint16_t>(kCount, own));
    place.wait(c.all_reduce(values, ReduceOp::sum, "bf16"));
    expect_values<std::uint16_t>(
        place, values, [&](std::size_t) { return total; }, "sum of bf16");
    // fewer elements than ranks
    Buffer const few = upload(place, std::vector<std::uint16_t>(1, own));
    place.wait(c.all_reduce(few, ReduceOp::sum, "one bf16"));
    expect_values<std::uint16_t>(
        place, few, [&](std::size_t) { return total; }, "sum of one bf16");
    Buffer const in =
        upload(place, std::vector<std::uint16_t>(static_cast<std::size_t>(c.size()) * kCount, own));
    Buffer const part = upload(place, std::vector<std::uint16_t>(kCount));
    place.wait(c.reduce_scatter(in, part, ReduceOp::sum, "scatter bf16"));
    expect_values<std::uint16_t>(
        place, part, [&](std::size_t) { return total; }, "scattered sum of bf16");
}

void expect_gather_and_scatter(Communicator& c, Place& place) {
    auto const n = static_cast<std::size_t>(c.size()), me = static_cast<std::size_t>(c.rank());
    auto gathered = [](std::size_t i) {
        return static_cast<double>(i / kCount * 10000 + i % kCount);
    };
    auto const own =
        filled<double>(kCount, [&](std::size_t i) { return gathered(me * kCount + i); });
    Buffer const in = upload(place, own), all = upload(place, std::vector<double>(n * kCount, -1));
    place.wait(c.all_gather(in, all, "gather"));
    expect_values<double>(place, all, gathered, "gather");
    Buffer const part = upload(place, std::vector<double>(kCount, -1));
    place.wait(c.reduce_scatter(all, part, ReduceOp::sum, "scatter"));
    auto scattered = [&](std::size_t i) { return static_cast<double>(n * (me * 10000 + i)); };
    expect_values<double>(place, part, scattered, "scatter");
    std::vector<double> mine_only(n * kCount, -1); // in place: the rank's own slice is the input
    std::copy(own.begin(), own.end(), mine_only.begin() + static_cast<std::ptrdiff_t>(me * kCount));
    Buffer const whole = upload(place, mine_only);
    place.wait(c.all_gather(whole.slice(me * kCount, kCount), whole, "gather in place"));
    expect_values<double>(place, whole, gathered, "gather in place");
}

/// Rank r sends r + p + 1 elements to rank p, so counts differ in both directions.
void expect_all_to_all(Communicator& c, Place& place) {
    auto const n = static_cast<std::size_t>(c.size()), me = static_cast<std::size_t>(c.rank());
    std::vector<std::size_t> counts(n);
    std::vector<std::int64_t> sent, received;
    for (std::size_t p = 0; p < n; ++p) {
        counts[p] = me + p + 1;
        sent.insert(sent.end(), counts[p], static_cast<std::int64_t>(me * 1000 + p));
        received.insert(received.end(), counts[p], static_cast<std::int64_t>(p * 1000 + me));
    }
    Buffer const in = upload(place, sent),
                 out = upload(place, std::vector<std::int64_t>(received.size(), -1));
    place.wait(c.all_to_all(in, counts, out, counts, "all to all"));
    expect_values<std::int64_t>(
        place, out, [&](std::size_t i) { return received[i]; }, "all to all");
}

/// Every rank lists its send before its receive: blocking calls in this order would deadlock in a
/// ring.
void expect_exchange(Communicator& c, Place& place) {
    if (c.size() == 1) return;
    int const next = (c.rank() + 1) % c.size(), before = (c.rank() + c.size() - 1) % c.size();
    Buffer const out = upload(place, std::vector<double>(300'000, c.rank()));
    Buffer const in = upload(place, std::vector<double>(300'000, -1));
    std::vector<Message> const messages{{Message::Kind::send, next, out},
                                        {Message::Kind::receive, before, in}};
    place.wait(c.exchange(messages, "ring"));
    expect_values<double>(
        place, in, [&](std::size_t) { return before; }, "exchange");
}

void expect_broadcast(Communicator& c, Place& place) {
    int const root = c.size() - 1;
    Buffer const values = upload(place, std::vector<float>(kCount, c.rank() == root ? 7.5F : 0.0F));
    place.wait(c.broadcast(values, root, "broadcast"));
    expect_values<float>(
        place, values, [](std::size_t) { return 7.5F; }, "broadcast");
}

/// No rank may leave before the last has come: ranks come one after another, by the clock that they
/// share.
void expect_barrier(Communicator& c, Place& place) {
    auto now = [] {
        return static_cast<std::int64_t>(
            std::chrono::steady_clock::now().time_since_epoch().count());
    };
    std::this_thread::sleep_for(std::chrono::milliseconds(4 * (c.rank() % 4)));
    std::int64_t const entered = now();
    c.barrier("barrier");
    std::int64_t const left = now();
    Buffer const last = upload(place, std::vector<std::int64_t>{entered});
    place.wait(c.all_reduce(last, ReduceOp::max, "last to enter"));
    std::int64_t entered_last = 0;
    std::memcpy(&entered_last, place.download(last).data(), sizeof entered_last);
    EXPECT_GE(left, entered_last) << "a rank left the barrier before the last came";
}

void expect_split(Communicator& c, Place& place) {
    // ordered from the highest rank down
    auto const half = c.split(c.rank() % 2, -c.rank(), "half");
    int const members = c.size() / 2 + (c.rank() % 2 == 0 ? c.size() % 2 : 0);
    EXPECT_EQ(half->size(), members);
    EXPECT_EQ(half->group(), "half");
    Buffer const own = upload(place, std::vector<std::int64_t>{c.rank()});
    Buffer const all =
        upload(place, std::vector<std::int64_t>(static_cast<std::size_t>(half->size()), -1));
    place.wait(half->all_gather(own, all, "members"));
    auto member = [&](std::size_t i) {
        return 2 * (half->size() - 1 - static_cast<int>(i)) + c.rank() % 2;
    };
    expect_values<std::int64_t>(place, all, member, "members of a split");
}

} // namespace

Buffer HostPlace::upload(std::vector<std::byte> const& bytes, DType dtype) {
    memory_.push_back(bytes);
    return {memory_.back().data(), bytes.size() / cluster::size_of(dtype), dtype};
}

std::vector<std::byte> HostPlace::download(Buffer const& buffer) {
    auto const* const begin = static_cast<std::byte const*>(buffer.data);
    return {begin, begin + buffer.bytes()};
}

void expect_conformance_at(Communicator& c, Place& place) {
    expect_all_reduce<float>(c, place);
    expect_all_reduce<double>(c, place);
    expect_all_reduce<std::int64_t>(c, place);
    expect_bf16_sums_round_once(c, place);
    expect_gather_and_scatter(c, place);
    expect_all_to_all(c, place);
    expect_exchange(c, place);
    expect_broadcast(c, place);
    expect_barrier(c, place);
    expect_split(c, place);
}

void expect_conformance(Communicator& c) {
    HostPlace place;
    expect_conformance_at(c, place);
}

} // namespace trireme::test
