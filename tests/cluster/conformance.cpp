#include "tests/cluster/conformance.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cstdint>
#include <numeric>
#include <vector>

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
    return DType::i64;
}
template <typename T>
Buffer view(std::vector<T>& v) {
    return {v.data(), v.size(), dtype_of<T>()};
}

std::int64_t sum_of_ranks(Communicator const& c) {
    return std::int64_t{c.size()} * (c.size() - 1) / 2;
}

template <typename T>
void expect_all_reduce(Communicator& c) {
    std::vector<T> values(kCount), highest(kCount);
    for (std::size_t i = 0; i < kCount; ++i)
        values[i] = static_cast<T>(c.rank() + static_cast<int>(i)), highest[i] = values[i];
    c.all_reduce(view(values), ReduceOp::sum, "sum").wait();
    c.all_reduce(view(highest), ReduceOp::max, "max").wait();
    for (std::size_t i = 0; i < kCount; ++i) {
        ASSERT_EQ(values[i], static_cast<T>(sum_of_ranks(c) + c.size() * static_cast<std::int64_t>(i)))
            << "element " << i;
        ASSERT_EQ(highest[i], static_cast<T>(c.size() - 1 + static_cast<int>(i)));
    }
}

/// 1 + n x 2^-8: each bf16 addition alone would round the small part away; float32 accumulation keeps it.
void expect_bf16_sum_rounds_once(Communicator& c) {
    auto to_bits = [](float x) { return static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(x) >> 16); };
    std::vector<std::uint16_t> values(kCount, to_bits(c.rank() == 0 ? 1.0F : 0.00390625F));
    c.all_reduce({values.data(), values.size(), DType::bf16}, ReduceOp::sum, "bf16").wait();
    float const exact = 1.0F + static_cast<float>(c.size() - 1) * 0.00390625F;
    auto const bits = std::bit_cast<std::uint32_t>(exact);
    auto const nearest_even = static_cast<std::uint16_t>((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
    for (auto v : values) ASSERT_EQ(v, nearest_even);
}

void expect_gather_and_scatter(Communicator& c) {
    auto const n = static_cast<std::size_t>(c.size());
    std::vector<double> own(kCount), all(n * kCount), part(kCount);
    for (std::size_t i = 0; i < kCount; ++i) own[i] = static_cast<double>(c.rank() * 10000 + static_cast<int>(i));
    c.all_gather(view(own), view(all), "gather").wait();
    for (std::size_t r = 0; r < n; ++r)
        for (std::size_t i = 0; i < kCount; ++i) ASSERT_EQ(all[r * kCount + i], static_cast<double>(r * 10000 + i));
    c.reduce_scatter(view(all), view(part), ReduceOp::sum, "scatter").wait();
    for (std::size_t i = 0; i < kCount; ++i)
        ASSERT_EQ(part[i], static_cast<double>(n * (static_cast<std::size_t>(c.rank()) * 10000 + i)));
    Buffer const whole = view(all); // in place: the rank's own slice is the input
    Buffer const mine = whole.slice(static_cast<std::size_t>(c.rank()) * kCount, kCount);
    c.all_gather(mine, whole, "gather in place").wait();
    ASSERT_EQ(all[(n - 1) * kCount + 5], static_cast<double>((n - 1) * 10000 + 5));
}

/// Rank r sends r + p + 1 elements to rank p, so counts differ in both directions.
void expect_all_to_all(Communicator& c) {
    auto const n = static_cast<std::size_t>(c.size()), me = static_cast<std::size_t>(c.rank());
    std::vector<std::size_t> send(n), receive(n);
    std::vector<std::int64_t> in, out;
    for (std::size_t p = 0; p < n; ++p) {
        send[p] = receive[p] = me + p + 1;
        in.insert(in.end(), send[p], static_cast<std::int64_t>(me * 1000 + p));
    }
    out.resize(std::accumulate(receive.begin(), receive.end(), std::size_t{0}), -1);
    c.all_to_all(view(in), send, view(out), receive, "all to all").wait();
    std::size_t at = 0;
    for (std::size_t p = 0; p < n; ++p)
        for (std::size_t i = 0; i < receive[p]; ++i) ASSERT_EQ(out[at++], static_cast<std::int64_t>(p * 1000 + me));
}

/// Every rank lists its send before its receive: blocking calls in this order would deadlock in a ring.
void expect_exchange(Communicator& c) {
    if (c.size() == 1) return;
    int const next = (c.rank() + 1) % c.size(), before = (c.rank() + c.size() - 1) % c.size();
    std::vector<double> out(300'000, c.rank()), in(300'000, -1);
    std::vector<Message> const messages{{Message::Kind::send, next, view(out)},
                                        {Message::Kind::receive, before, view(in)}};
    c.exchange(messages, "ring").wait();
    ASSERT_EQ(in.front(), before);
    ASSERT_EQ(in.back(), before);
}

void expect_broadcast_and_barrier(Communicator& c) {
    int const root = c.size() - 1;
    std::vector<float> values(kCount, c.rank() == root ? 7.5F : 0.0F);
    c.broadcast(view(values), root, "broadcast").wait();
    for (float v : values) ASSERT_EQ(v, 7.5F);
    c.barrier("barrier");
}

void expect_split(Communicator& c) {
    auto const half = c.split(c.rank() % 2, -c.rank(), "half"); // ordered from the highest rank down
    int const members = c.size() / 2 + (c.rank() % 2 == 0 ? c.size() % 2 : 0);
    ASSERT_EQ(half->size(), members);
    std::vector<std::int64_t> own{c.rank()}, all(static_cast<std::size_t>(members));
    half->all_gather(view(own), view(all), "members").wait();
    for (std::size_t i = 1; i < all.size(); ++i) ASSERT_EQ(all[i - 1] - all[i], 2);
    ASSERT_EQ(half->group(), "half");
}

} // namespace

void expect_conformance(Communicator& c) {
    expect_all_reduce<float>(c);
    expect_all_reduce<double>(c);
    expect_all_reduce<std::int64_t>(c);
    expect_bf16_sum_rounds_once(c);
    expect_gather_and_scatter(c);
    expect_all_to_all(c);
    expect_exchange(c);
    expect_broadcast_and_barrier(c);
    expect_split(c);
}

} // namespace trireme::test
