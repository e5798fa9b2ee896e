// Attention over a cache against the definition, in float64.
#include "framework/kernels/decode_attention.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace trireme::framework::kernels {
namespace {

double value(std::int64_t a, std::int64_t b, std::int64_t c, std::int64_t d) {
    return std::sin(static_cast<double>(a * 7 + b * 3 + c * 11 + d * 5) * 0.37);
}

/// Two sequences, 5 and 40 tokens long in caches of 9 and 41, six query heads over two kv heads
/// of 5.
struct Case {
    static constexpr std::int64_t kKvHeads = 2, kHeads = 6, kSize = 5;
    std::vector<std::int64_t> start{0, 9 * kKvHeads*kSize}, capacity{9, 41};
    std::vector<std::int32_t> length{5, 40};

    template <typename T>
    std::vector<T> attend(std::int64_t window, std::vector<std::int32_t> const& sequences) const {
        CachePlaces const places{start.data(), capacity.data(), kKvHeads, kSize};
        std::size_t const elements = (9 + 41) * kKvHeads * kSize;
        // what was never written must not be read
        std::vector<T> keys(elements, std::nan("")), values = keys;
        for (std::int32_t s = 0; s < 2; ++s)
            for (std::int32_t t = 0; t < length[static_cast<std::size_t>(s)]; ++t) {
                std::vector<T> key, val;
                for (std::int64_t h = 0; h < kKvHeads; ++h)
                    for (std::int64_t d = 0; d < kSize; ++d) {
                        key.push_back(static_cast<T>(value(s, t, h, d)));
                        val.push_back(static_cast<T>(value(s + 5, t, h, d)));
                    }
                cache_write(places, 1, &s, &t, key.data(), keys.data());
                cache_write(places, 1, &s, &t, val.data(), values.data());
            }
        std::vector<std::int32_t> positions;
        std::vector<T> q;
        for (auto const s : sequences) {
            positions.push_back(length[static_cast<std::size_t>(s)] - 1);
            for (std::int64_t i = 0; i < kHeads * kSize; ++i)
                q.push_back(static_cast<T>(value(s + 9, i, 0, 0)));
        }
        std::vector<T> out(q.size());
        decode_attention(DecodeProblem{places, sequences.data(), positions.data(),
                                       static_cast<std::int64_t>(sequences.size()), kHeads, window,
                                       0.3},
                         q.data(), keys.data(), values.data(), out.data());
        return out;
    }

    double expected(std::int64_t window, std::int32_t s, std::int64_t head, std::int64_t d) const {
        std::int64_t const n = length[static_cast<std::size_t>(s)],
                           first = window ? std::max(n - window, {}) : 0;
        std::int64_t const kv_head = head / (kHeads / kKvHeads);
        double total = 0, sum = 0;
        for (std::int64_t t = first; t < n; ++t) {
            double score = 0;
            for (std::int64_t e = 0; e < kSize; ++e)
                score += value(s + 9, head * kSize + e, 0, 0) * value(s, t, kv_head, e);
            total += std::exp(0.3 * score);
            sum += std::exp(0.3 * score) * value(s + 5, t, kv_head, d);
        }
        return sum / total;
    }
};

TEST(DecodeAttention, EqualsItsDefinition) {
    Case const c;
    std::vector<std::int32_t> const sequences{1, 0};
    for (std::int64_t const window : {0, 1, 7, 40, 100}) {
        auto const exact = c.attend<double>(window, sequences);
        auto const single = c.attend<float>(window, sequences);
        for (std::size_t i = 0; i < exact.size(); ++i) {
            std::size_t const row = i / (Case::kHeads * Case::kSize),
                              in_row = i % (Case::kHeads * Case::kSize);
            double const wanted =
                c.expected(window, sequences[row], static_cast<std::int64_t>(in_row) / Case::kSize,
                           static_cast<std::int64_t>(in_row) % Case::kSize);
            EXPECT_NEAR(exact[i], wanted, 1e-14) << "window " << window;
            EXPECT_NEAR(static_cast<double>(single[i]), wanted, 2e-6) << "window " << window;
        }
    }
}

TEST(DecodeAttention, ARowDoesNotDependOnItsNeighbours) {
    Case const c;
    auto const both = c.attend<float>(0, {1, 0}), alone = c.attend<float>(0, {0});
    EXPECT_EQ(std::vector<float>(both.begin() + Case::kHeads * Case::kSize, both.end()), alone);
}

} // namespace
} // namespace trireme::framework::kernels
