// Gated activations, act(gate) * up, forward and backward.
#pragma once
#include <cstdint>

#include "framework/kernels/fused/team.hpp"

namespace trireme::framework::kernels::fused {

enum class Curve : std::uint8_t { silu, gelu, gelu_tanh, relu, tanh };

/// Value and slope of an activation at x.
template <typename S>
struct Activated {
    S value, slope;
};

template <typename S>
TRIREME_BODY Activated<S> normal_distribution(S x) { // GELU, Hendrycks and Gimpel 2016
    S const share = S(0.5) * (S(1) + std::erf(x * S(0.70710678118654752440)));
    S const density = S(0.39894228040143267794) * std::exp(S(-0.5) * x * x);
    return {x * share, share + x * density};
}
template <typename S>
TRIREME_BODY Activated<S> normal_by_tanh(S x) {
    S const kRoot = S(0.79788456080286535588), kCubic = S(0.044715);
    S const t = std::tanh(kRoot * (x + kCubic * x * x * x)), share = S(0.5) * (S(1) + t);
    S const slope = S(0.5) * (S(1) - t * t) * kRoot * (S(1) + S(3) * kCubic * x * x);
    return {x * share, share + x * slope};
}

template <typename S>
TRIREME_BODY Activated<S> activate(Curve curve, S x) {
    switch (curve) {
    case Curve::silu: {
        S const share = S(1) / (S(1) + std::exp(-x));
        return {x * share, share * (S(1) + x * (S(1) - share))};
    }
    case Curve::gelu: return normal_distribution(x);
    case Curve::gelu_tanh: return normal_by_tanh(x);
    case Curve::relu: return {x > S(0) ? x : S(0), x > S(0) ? S(1) : S(0)};
    case Curve::tanh: {
        S const t = std::tanh(x);
        return {t, S(1) - t * t};
    }
    }
    return {x, S(1)};
}

/// out = act(gate) * up; with a gradient dy its gradients, dgate and dup, too. `out` may be `dy`.
template <typename T>
struct Gate {
    std::int64_t count, width;
    std::int64_t stride; ///< from a row of gate, up, dgate or dup to the next
    Curve curve;
    T const* gate = nullptr;
    T const* up = nullptr;
    T* out = nullptr;
    T const* dy = nullptr;
    T* dgate = nullptr;
    T* dup = nullptr;

    static constexpr int kPack = Packs<T>::kMost, kLanes = 256;
    std::int64_t rows() const { return count; }
    std::int64_t columns() const { return width; }
    bool packed() const {
        return packs(width, out) && packs(width, dy) && packs(stride, gate) && packs(stride, up) &&
               packs(stride, dgate) && packs(stride, dup);
    }
    template <typename F>
    void each_pointer(F const& f) const {
        each_of(f, gate, up, out, dy, dgate, dup);
    }

    template <int V, typename Team>
    TRIREME_BODY void run(Team const& team, std::int64_t row) const {
        for (std::int64_t d = team.lane() * V; d < width; d += team.lanes() * V)
            dy ? backward<V>(row * stride + d, row * width + d)
               : forward<V>(row * stride + d, row * width + d);
    }

  private:
    template <int V>
    TRIREME_BODY void forward(std::int64_t at, std::int64_t out_at) const {
        Pack<T, V> const g = load<V>(gate + at), u = load<V>(up + at);
        Pack<T, V> y;
        for (int i = 0; i < V; ++i)
            put(y.at[i], activate(curve, number(g.at[i])).value * number(u.at[i]));
        store(out + out_at, y);
    }
    template <int V>
    TRIREME_BODY void backward(std::int64_t at, std::int64_t dy_at) const {
        Pack<T, V> const g = load<V>(gate + at), u = load<V>(up + at), d = load<V>(dy + dy_at);
        Pack<T, V> to_gate, to_up, y;
        for (int i = 0; i < V; ++i) {
            auto const found = activate(curve, number(g.at[i]));
            put(to_gate.at[i], number(d.at[i]) * number(u.at[i]) * found.slope);
            put(to_up.at[i], number(d.at[i]) * found.value);
            put(y.at[i], found.value * number(u.at[i]));
        }
        store(out + dy_at, y);
        store(dgate + at, to_gate);
        store(dup + at, to_up);
    }
};

} // namespace trireme::framework::kernels::fused
