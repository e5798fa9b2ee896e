// Attention over packed samples against its definition.
#include <gtest/gtest.h>
#include <omp.h>

#include <cmath>
#include <numeric>
#include <random>
#include <vector>

#include "framework/kernels/attention.hpp"
#include "framework/kernels/cross_entropy.hpp"
#include "framework/kernels/random.hpp"
#include "framework/kernels/rotary.hpp"
#include "tests/framework/kernels/numbers.hpp"
#include "tests/framework/kernels/slope.hpp"

namespace trireme::framework::kernels {
namespace {

struct Mask {
    char const* name;
    bool causal;
    std::int64_t window;
};

struct Packed {
    std::vector<std::int64_t> offsets, ids;
    std::int64_t heads = 6, kv_heads = 2, size = 20;
    AttentionProblem problem(Mask const& mask, DropoutKey dropout) const {
        return {offsets.data(), ids.data(),  static_cast<std::int64_t>(ids.size()),
                heads,          kv_heads,    size,
                mask.causal,    mask.window, 1 / std::sqrt(20.0),
                dropout};
    }
    std::size_t q() const { return static_cast<std::size_t>(offsets.back() * heads * size); }
    std::size_t kv() const { return static_cast<std::size_t>(offsets.back() * kv_heads * size); }
    std::size_t rows() const { return static_cast<std::size_t>(offsets.back() * heads); }
};
Packed packed() {
    return {{0, 5, 6, 43, 110}, {3, 8, 1, 4}};
}

/// Attention by its definition, in float64, one (head, query) at a time.
std::vector<double> naive(Packed const& s, AttentionProblem const& p, std::vector<double> const& q,
                          std::vector<double> const& k, std::vector<double> const& v) {
    std::vector<double> out(s.q());
    for (std::size_t i = 0; i + 1 < s.offsets.size(); ++i)
        for (std::int64_t h = 0; h < s.heads; ++h)
            for (std::int64_t a = s.offsets[i]; a < s.offsets[i + 1]; ++a) {
                std::int64_t const end = p.causal ? a + 1 : s.offsets[i + 1],
                                   kh = h / (s.heads / s.kv_heads);
                std::int64_t const first =
                    p.window ? std::max(s.offsets[i], a - p.window + 1) : s.offsets[i];
                std::vector<double> weight;
                for (std::int64_t b = first; b < end; ++b) {
                    double score = 0;
                    for (std::int64_t d = 0; d < s.size; ++d)
                        score += q[static_cast<std::size_t>((a * s.heads + h) * s.size + d)] *
                                 k[static_cast<std::size_t>((b * s.kv_heads + kh) * s.size + d)];
                    weight.push_back(std::exp(score * p.scale));
                }
                double const total = std::accumulate(weight.begin(), weight.end(), 0.0);
                for (std::size_t b = 0; b < weight.size(); ++b)
                    for (std::int64_t d = 0; d < s.size; ++d)
                        out[static_cast<std::size_t>((a * s.heads + h) * s.size + d)] +=
                            weight[b] / total *
                            v[static_cast<std::size_t>(
                                ((first + static_cast<std::int64_t>(b)) * s.kv_heads + kh) *
                                    s.size +
                                d)];
            }
    return out;
}

class Attention : public testing::TestWithParam<Mask> {};

TEST_P(Attention, EqualsItsDefinition) {
    auto const s = packed();
    auto const p = s.problem(GetParam(), {});
    auto const q = numbers<double>(s.q(), 1), k = numbers<double>(s.kv(), 2),
               v = numbers<double>(s.kv(), 3);
    std::vector<double> out(s.q()), lse(s.rows());
    attention_forward(p, q.data(), k.data(), v.data(), out.data(), lse.data());
    auto const expected = naive(s, p, q, k, v);
    for (std::size_t i = 0; i < out.size(); ++i) ASSERT_NEAR(out[i], expected[i], 1e-12);
    std::vector<float> const qf(q.begin(), q.end()), kf(k.begin(), k.end()), vf(v.begin(), v.end());
    std::vector<float> outf(s.q()), lsef(s.rows());
    attention_forward(p, qf.data(), kf.data(), vf.data(), outf.data(), lsef.data());
    for (std::size_t i = 0; i < out.size(); ++i)
        ASSERT_NEAR(static_cast<double>(outf[i]), expected[i], 5e-6);
}

TEST_P(Attention, GradientIsTheSlopeWithDropoutToo) {
    auto const s = packed();
    for (double drop : {0.0, 0.25}) {
        auto const p = s.problem(GetParam(), dropout_key(1, 2, 3, drop));
        auto q = numbers<double>(s.q(), 1), k = numbers<double>(s.kv(), 2),
             v = numbers<double>(s.kv(), 3);
        auto const dout = numbers<double>(s.q(), 4);
        std::vector<double> out(s.q()), lse(s.rows()), dq(s.q()), dk(s.kv()), dv(s.kv());
        auto loss = [&] {
            attention_forward(p, q.data(), k.data(), v.data(), out.data(), lse.data());
            return dot(out, dout);
        };
        loss();
        attention_backward(p, q.data(), k.data(), v.data(), out.data(), lse.data(), dout.data(),
                           dq.data(), dk.data(), dv.data());
        for (std::size_t i = 0; i < s.q(); i += 997) ASSERT_NEAR(dq[i], slope(q, i, loss), 1e-7);
        for (std::size_t i = 0; i < s.kv(); i += 211) {
            ASSERT_NEAR(dk[i], slope(k, i, loss), 1e-7);
            ASSERT_NEAR(dv[i], slope(v, i, loss), 1e-7);
        }
    }
}

/// `rows` of x, each `width` long.
std::vector<double> rows_of(std::vector<double> const& x, std::vector<std::int64_t> const& rows,
                            std::int64_t width) {
    std::vector<double> chosen;
    for (auto const row : rows)
        chosen.insert(chosen.end(), x.begin() + row * width, x.begin() + (row + 1) * width);
    return chosen;
}
void expect_near(std::vector<double> const& a, std::vector<double> const& b) {
    ASSERT_EQ(a.size(), b.size());
    for (std::size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], 1e-12) << i;
}

TEST_P(Attention, OfOneTokenOfASampleIsItsPartOfAll) {
    auto const s = packed();
    std::vector<std::int64_t> const asking{0, 5, 42, 80};
    auto const p = s.problem(GetParam(), dropout_key(1, 2, 3, 0.25));
    auto some = p;
    some.asking = asking.data();
    std::int64_t const width = s.heads * s.size;
    auto const q = numbers<double>(s.q(), 1), k = numbers<double>(s.kv(), 2),
               v = numbers<double>(s.kv(), 3);
    std::vector<double> out(s.q()), lse(s.rows()), dout(s.q()), dq(s.q()), dk(s.kv()), dv(s.kv());
    auto const gradients = numbers<double>(s.q(), 4); // others get none
    for (auto const row : asking)
        std::copy_n(gradients.begin() + row * width, width, dout.begin() + row * width);
    attention_forward(p, q.data(), k.data(), v.data(), out.data(), lse.data());
    attention_backward(p, q.data(), k.data(), v.data(), out.data(), lse.data(), dout.data(),
                       dq.data(), dk.data(), dv.data());

    auto const q2 = rows_of(q, asking, width), dout2 = rows_of(dout, asking, width);
    std::vector<double> out2(q2.size()), lse2(asking.size() * 6), dq2(q2.size()), dk2(s.kv()),
        dv2(s.kv());
    attention_forward(some, q2.data(), k.data(), v.data(), out2.data(), lse2.data());
    attention_backward(some, q2.data(), k.data(), v.data(), out2.data(), lse2.data(), dout2.data(),
                       dq2.data(), dk2.data(), dv2.data());
    expect_near(out2, rows_of(out, asking, width));
    expect_near(lse2, rows_of(lse, asking, s.heads));
    expect_near(dq2, rows_of(dq, asking, width));
    expect_near(dk2, dk);
    expect_near(dv2, dv);
}

TEST_P(Attention, NoTokenSeesAnotherSampleAndASampleAloneGivesTheSameBits) {
    std::mt19937 random(9);
    for (int trial = 0; trial < 10; ++trial) {
        Packed s{{0}, {}};
        for (int i = 0; i < 6; ++i)
            s.offsets.push_back(s.offsets.back() + 1 + static_cast<std::int64_t>(random() % 70)),
                s.ids.push_back(100 + i);
        auto const p = s.problem(GetParam(), dropout_key(1, 2, 3, 0.1));
        auto const q = numbers<float>(s.q(), 1), k = numbers<float>(s.kv(), 2),
                   v = numbers<float>(s.kv(), 3);
        std::vector<float> out(s.q()), lse(s.rows()), alone(s.q());
        attention_forward(p, q.data(), k.data(), v.data(), out.data(), lse.data());
        for (std::size_t i = 0; i < s.ids.size(); ++i) {
            Packed one{{0, s.offsets[i + 1] - s.offsets[i]}, {s.ids[i]}};
            auto const at = static_cast<std::ptrdiff_t>(s.offsets[i] * s.heads * s.size),
                       kv = static_cast<std::ptrdiff_t>(s.offsets[i] * s.kv_heads * s.size);
            attention_forward(one.problem(GetParam(), p.dropout), q.data() + at, k.data() + kv,
                              v.data() + kv, alone.data() + at, lse.data());
        }
        ASSERT_EQ(out, alone);
    }
}

TEST_P(Attention, BitsDoNotDependOnThreads) {
    auto const s = packed();
    auto const p = s.problem(GetParam(), dropout_key(1, 2, 3, 0.1));
    auto const q = numbers<float>(s.q(), 1), k = numbers<float>(s.kv(), 2),
               v = numbers<float>(s.kv(), 3), dout = numbers<float>(s.q(), 4);
    std::vector<std::vector<float>> found;
    for (int threads : {1, 2, 3}) {
        omp_set_num_threads(threads);
        std::vector<float> out(s.q()), lse(s.rows()), dq(s.q()), dk(s.kv()), dv(s.kv());
        attention_forward(p, q.data(), k.data(), v.data(), out.data(), lse.data());
        attention_backward(p, q.data(), k.data(), v.data(), out.data(), lse.data(), dout.data(),
                           dq.data(), dk.data(), dv.data());
        out.insert(out.end(), dq.begin(), dq.end());
        out.insert(out.end(), dk.begin(), dk.end());
        out.insert(out.end(), dv.begin(), dv.end());
        found.push_back(out);
    }
    EXPECT_EQ(found[0], found[1]);
    EXPECT_EQ(found[0], found[2]);
}

/// Samples have up to 67 tokens and tiles 32 queries: the windows are shorter than a vector, than a
/// tile, than a sample.
INSTANTIATE_TEST_SUITE_P(Masks, Attention,
                         testing::Values(Mask{"Bidirectional", false, 0}, Mask{"Causal", true, 0},
                                         Mask{"WindowOfOne", true, 1},
                                         Mask{"WindowOfFive", true, 5},
                                         Mask{"WindowOf23", true, 23}, Mask{"WindowOf48", true, 48},
                                         Mask{"WindowNeverFull", true, 1000}),
                         [](auto const& mask) { return mask.param.name; });

} // namespace
} // namespace trireme::framework::kernels
