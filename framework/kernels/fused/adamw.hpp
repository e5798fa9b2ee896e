// AdamW over many stretches of parameters in one launch, with their bfloat16 copy: the arithmetic
// of framework/kernels/adamw.cpp.
#pragma once
#include <cstdint>

#include "framework/kernels/fused/team.hpp"

namespace trireme::framework::kernels::fused {

/// Elements that lie together in each of these.
template <typename S>
struct Updated {
    S* weight;
    S const* gradient;
    S* moment1;
    S* moment2;
    BFloat16* copy; ///< of the weights; null: none
    std::int64_t n;
    std::int64_t first_tile; ///< tiles of the stretches before
    S keep, rate;            ///< 1 - rate x decay, rate / (1 - beta1^t)
};

/// One update (Loshchilov and Hutter, ICLR 2019, algorithm 2). A row of the program is a tile of a
/// stretch.
template <typename S>
struct AdamWStretches {
    static constexpr int kMost = 32;            ///< a launch takes 4 kB of arguments
    static constexpr std::int64_t kTile = 8192; ///< elements

    Updated<S> stretches[kMost];
    int count = 0;
    std::int64_t tiles = 0;
    double const* scale = nullptr; ///< of gradients, one number; NaN: nothing changes
    S beta1 = 0, beta2 = 0, rest1 = 0, rest2 = 0, root = 0, epsilon = 0; ///< rest: 1 - beta

    static constexpr int kPack = 4, kLanes = 256;
    std::int64_t rows() const { return tiles; }
    std::int64_t columns() const { return kTile; }
    bool packed() const {
        for (int i = 0; i < count; ++i) {
            Updated<S> const& u = stretches[i];
            for (void const* p :
                 {static_cast<void const*>(u.weight), static_cast<void const*>(u.gradient),
                  static_cast<void const*>(u.moment1), static_cast<void const*>(u.moment2),
                  static_cast<void const*>(u.copy)})
                if (reinterpret_cast<std::uintptr_t>(p) % (kPack * sizeof(S)) != 0) return false;
            if (u.n % kPack != 0) return false;
        }
        return true;
    }
    template <typename F>
    void each_pointer(F const& f) const {
        f(static_cast<void const*>(scale));
        for (int i = 0; i < count; ++i)
            each_of(f, stretches[i].weight, stretches[i].gradient, stretches[i].moment1,
                    stretches[i].moment2, stretches[i].copy);
    }

    /// Adds a stretch; false where there is no more room.
    bool add(Updated<S> stretch) {
        if (count == kMost) return false;
        stretch.first_tile = tiles;
        tiles += (stretch.n + kTile - 1) / kTile;
        stretches[count++] = stretch;
        return true;
    }

    template <int V, typename Team>
    TRIREME_BODY void run(Team const& team, std::int64_t tile) const {
        if (std::isnan(*scale)) return;
        int own = 0;
        while (own + 1 < count && stretches[own + 1].first_tile <= tile) ++own;
        Updated<S> const& u = stretches[own];
        std::int64_t const first = (tile - u.first_tile) * kTile,
                           end = first + kTile < u.n ? first + kTile : u.n;
        for (std::int64_t i = first + team.lane() * V; i < end; i += team.lanes() * V)
            update<V>(u, i);
    }

  private:
    template <int V>
    TRIREME_BODY void update(Updated<S> const& u, std::int64_t i) const {
        Pack<S, V> w = load<V>(u.weight + i), m = load<V>(u.moment1 + i),
                   v = load<V>(u.moment2 + i);
        Pack<S, V> const g = load<V>(u.gradient + i);
        Pack<BFloat16, V> copy;
        for (int j = 0; j < V; ++j) {
            S const gradient = g.at[j] * static_cast<S>(*scale);
            m.at[j] = beta1 * m.at[j] + rest1 * gradient;
            v.at[j] = beta2 * v.at[j] + rest2 * gradient * gradient;
            w.at[j] = w.at[j] * u.keep - u.rate * m.at[j] / (std::sqrt(v.at[j]) * root + epsilon);
            put(copy.at[j], static_cast<float>(w.at[j]));
        }
        store(u.weight + i, w);
        store(u.moment1 + i, m);
        store(u.moment2 + i, v);
        if (u.copy) store(u.copy + i, copy);
    }
};

} // namespace trireme::framework::kernels::fused
