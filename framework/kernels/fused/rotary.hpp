// Rotary positions (Su et al., "RoFormer", 2021) of queries and keys in one launch; arithmetic of
// framework/kernels/rotary.hpp.
#pragma once
#include <cstdint>

#include "framework/kernels/fused/team.hpp"

namespace trireme::framework::kernels::fused {

/// Heads of one of them: x[count, heads, size] becomes y, which may be x. Strides: from a row to
/// the next.
template <typename T>
struct Turned {
    std::int64_t heads = 0;
    T const* x = nullptr;
    T* y = nullptr;
    std::int64_t x_stride = 0, y_stride = 0;
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
    Turned<T> values; ///< copied as they are; of no heads where nothing is to be copied

    static constexpr int kPack = Packs<T>::kMost, kLanes = 256;
    std::int64_t rows() const { return count; }
    std::int64_t columns() const { return (queries.heads + keys.heads) * size / 2; }
    bool packed() const {
        return turned % (2 * kPack) == 0 && size % kPack == 0 && packed(queries) && packed(keys) &&
               packed(values);
    }
    template <typename F>
    void each_pointer(F const& f) const {
        each_of(f, positions, cosine, sine, queries.x, queries.y, keys.x, keys.y, values.x,
                values.y);
    }

    template <int V, typename Team>
    TRIREME_BODY void run(Team const& team, std::int64_t row) const {
        turn<V>(team, row, queries);
        turn<V>(team, row, keys);
        copy<V>(team, row, values);
    }

  private:
    static bool packed(Turned<T> const& part) {
        return packs(part.x_stride, part.x) && packs(part.y_stride, part.y);
    }

    template <int V, typename Team>
    TRIREME_BODY void turn(Team const& team, std::int64_t row, Turned<T> const& part) const {
        std::int64_t const half = turned / 2, packs_of_head = half / V;
        S const* const c = cosine + positions[row] * half;
        S const* const s = sine + positions[row] * half;
        T const* const from = part.x + row * part.x_stride;
        T* const to = part.y + row * part.y_stride;
        for (std::int64_t k = team.lane(); k < part.heads * packs_of_head; k += team.lanes()) {
            std::int64_t const i = k % packs_of_head * V, at = k / packs_of_head * size + i;
            Pack<T, V> a = load<V>(from + at), b = load<V>(from + at + half);
            for (int j = 0; j < V; ++j) {
                S const sign = static_cast<S>(direction) * s[i + j], x = number(a.at[j]),
                        z = number(b.at[j]);
                put(a.at[j], x * c[i + j] - z * sign);
                put(b.at[j], z * c[i + j] + x * sign);
            }
            store(to + at, a);
            store(to + at + half, b);
        }
        std::int64_t const rest = size - turned;
        for (std::int64_t k = team.lane(); k < part.heads * rest; k += team.lanes()) {
            std::int64_t const at = k / rest * size + turned + k % rest;
            to[at] = from[at];
        }
    }

    template <int V, typename Team>
    TRIREME_BODY void copy(Team const& team, std::int64_t row, Turned<T> const& part) const {
        for (std::int64_t k = team.lane() * V; k < part.heads * size; k += team.lanes() * V)
            store(part.y + row * part.y_stride + k, load<V>(part.x + row * part.x_stride + k));
    }
};

} // namespace trireme::framework::kernels::fused
