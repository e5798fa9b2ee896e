// Cutting the loops of the kernels elsewhere changes rounding and nothing else.
#include "framework/kernels/tiles.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "framework/kernels/adamw.hpp"
#include "framework/kernels/attention.hpp"
#include "framework/kernels/norm.hpp"
#include "framework/kernels/random.hpp"
#include "tests/framework/kernels/numbers.hpp"

namespace trireme::framework::kernels {
namespace {

/// While alive, the loops of the kernels are cut into small pieces.
struct SmallTiles {
    SmallTiles() = default;
    ~SmallTiles() {
        tiles.update = update;
        tiles.rows = rows;
        tiles.queries = queries;
        tiles.lanes = lanes;
    }
    SmallTiles(SmallTiles const&) = delete;
    SmallTiles& operator=(SmallTiles const&) = delete;
    std::int64_t update = tiles.update.exchange(33), rows = tiles.rows.exchange(5),
                 queries = tiles.queries.exchange(3), lanes = tiles.lanes.exchange(3);
};

/// Calls `compute` with the usual sizes and with small ones.
template <typename F>
auto usual_and_small(F const& compute) {
    auto const usual = compute();
    SmallTiles const small;
    return std::pair(usual, compute());
}

TEST(SmallTilesOf, AttentionChangeRoundingAlone) {
    std::vector<std::int64_t> const offsets{0, 5, 6, 43, 110}, ids{3, 8, 1, 4};
    for (auto const& [causal, window] : {std::pair{true, 0}, {false, 0}, {true, 7}}) {
        AttentionProblem const p{offsets.data(),
                                 ids.data(),
                                 4,
                                 6,
                                 2,
                                 20,
                                 causal,
                                 window,
                                 0.2,
                                 dropout_key(1, 2, 3, 0.25)};
        auto const q = numbers<double>(110 * 6 * 20, 1), k = numbers<double>(110 * 2 * 20, 2),
                   v = numbers<double>(k.size(), 3), dout = numbers<double>(q.size(), 4);
        auto const [usual, small] = usual_and_small([&] {
            std::vector<double> out(q.size()), lse(110 * 6), dq(q.size()), dk(k.size()),
                dv(k.size());
            attention_forward(p, q.data(), k.data(), v.data(), out.data(), lse.data());
            attention_backward(p, q.data(), k.data(), v.data(), out.data(), lse.data(), dout.data(),
                               dq.data(), dk.data(), dv.data());
            for (auto const& more : {dq, dk, dv}) out.insert(out.end(), more.begin(), more.end());
            return out;
        });
        for (std::size_t i = 0; i < usual.size(); ++i) ASSERT_NEAR(usual[i], small[i], 1e-12);
    }
}

TEST(SmallTilesOf, UpdatesMasksAndNormsChangeRoundingAlone) {
    auto const update = [] {
        auto w = numbers<float>(5003, 1), m = numbers<float>(5003, 3), v = numbers<float>(5003, 4);
        auto const g = numbers<float>(5003, 2);
        for (auto& x : v) x = std::abs(x);
        double const scale = 0.5;
        adamw<float>(5003, {1e-2, 0.9, 0.999, 1e-8, 0.1, 0.1, 0.001, &scale}, w.data(), g.data(),
                     m.data(), v.data());
        w.insert(w.end(), m.begin(), m.end());
        w.insert(w.end(), v.begin(), v.end());
        return w;
    };
    auto const [usual, small] = usual_and_small(update);
    EXPECT_EQ(usual, small);
    auto const [mask, small_mask] = usual_and_small([] {
        std::vector<float> factors(1001);
        dropout_factors(dropout_key(1, 2, 3, 0.3), 5, 6, 0, 1001, factors.data());
        return factors;
    });
    EXPECT_EQ(mask, small_mask);
    auto const [norm, small_norm] = usual_and_small([] {
        auto const x = numbers<double>(131 * 37, 1), weight = numbers<double>(37, 2),
                   dy = numbers<double>(131 * 37, 3);
        std::vector<double> y(x.size()), inverse(131), dx(x.size()), dweight(37);
        rms_norm_forward(131, 37, x.data(), weight.data(), 1e-5, y.data(), inverse.data());
        rms_norm_backward(131, 37, dy.data(), x.data(), weight.data(), inverse.data(),
                          {dx.data(), dweight.data()});
        dx.insert(dx.end(), dweight.begin(), dweight.end());
        return dx;
    });
    for (std::size_t i = 0; i < norm.size(); ++i) ASSERT_NEAR(norm[i], small_norm[i], 1e-12);
}

} // namespace
} // namespace trireme::framework::kernels
