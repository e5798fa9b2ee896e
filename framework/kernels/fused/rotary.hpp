// Rotary positions (Su et al., "RoFormer", 2021) of queries and keys in one launch; arithmetic and
// layout of framework/kernels/rotary.hpp.
#pragma once
#include <cstdint>

#include "framework/kernels/fused/team.hpp"

namespace trireme::framework::kernels::fused {

/// Heads of one of the two: x[count, heads, size] turns to y.
template <typename T>
struct Turned {
    std::int64_t heads;
    T const* x;
    T* y;
};

template <typename T>
struct Rotary {
    using S = Sum<T>;
    std::int64_t count, size, turned; ///< tokens; numbers of a head, and how many of them turn
    std::int64_t const* positions;    ///< [count]
    S const* cosine;                  ///< [positions, turned / 2]
    S const* sine;
    int direction; ///< -1: back
    Turned<T> queries, keys;

    static constexpr int kPack = Packs<T>::kMost, kLanes = 256;
    std::int64_t rows() const { return count; }
    std::int64_t columns() const { return (queries.heads + keys.heads) * size / 2; }
    bool packed() const {
        return turned % (2 * kPack) == 0 && packs(size, queries.x) && packs(size, queries.y) &&
               packs(size, keys.x) && packs(size, keys.y);
    }
    template <typename F>
    void each_pointer(F const& f) const {
        each_of(f, positions, cosine, sine, queries.x, queries.y, keys.x, keys.y);
    }

    template <int V, typename Team>
    TRIREME_BODY void run(Team const& team, std::int64_t row) const {
        turn<V>(team, row, queries);
        turn<V>(team, row, keys);
    }

  private:
    template <int V, typename Team>
    TRIREME_BODY void turn(Team const& team, std::int64_t row, Turned<T> const& part) const {
        std::int64_t const half = turned / 2, packs_of_head = half / V;
        S const* const c = cosine + positions[row] * half;
        S const* const s = sine + positions[row] * half;
        for (std::int64_t k = team.lane(); k < part.heads * packs_of_head; k += team.lanes()) {
            std::int64_t const i = k % packs_of_head * V,
                               at = (row * part.heads + k / packs_of_head) * size + i;
            Pack<T, V> a = load<V>(part.x + at), b = load<V>(part.x + at + half);
            for (int j = 0; j < V; ++j) {
                S const sign = static_cast<S>(direction) * s[i + j], x = number(a.at[j]),
                        z = number(b.at[j]);
                put(a.at[j], x * c[i + j] - z * sign);
                put(b.at[j], z * c[i + j] + x * sign);
            }
            store(part.y + at, a);
            store(part.y + at + half, b);
        }
        std::int64_t const rest = size - turned;
        for (std::int64_t k = team.lane(); k < part.heads * rest; k += team.lanes()) {
            std::int64_t const at = (row * part.heads + k / rest) * size + turned + k % rest;
            part.y[at] = part.x[at];
        }
    }
};

} // namespace trireme::framework::kernels::fused
