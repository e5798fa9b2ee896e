// Ground of the fused kernels: bodies that a GPU and the host compile alike, so that the host's
// tests run what a GPU runs. C++17, since nvcc compiles these headers too.
//
// [Note: programs and teams]
// A fused kernel is a struct of sizes and pointers (a program) with `rows()` and a body
// `run<V>(team, row)`, which a team of lanes calls together for one row. A lane takes every
// team.lanes()-th pack of V numbers. On a GPU a team is a block of threads, on the host one lane;
// tests make one of threads of the host. Each sum is taken in an order that sizes and lanes alone
// decide: a run repeats to the bit.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

#ifdef __CUDACC__
#define TRIREME_BODY __host__ __device__ inline
#else
#define TRIREME_BODY inline
#endif

namespace trireme::framework::kernels::fused {

/// Sixteen bits of a float32: sign, exponent, 7 bits of the mantissa. at::BFloat16 lies alike.
struct BFloat16 {
    std::uint16_t bits;
};

TRIREME_BODY float widened(BFloat16 x) {
    std::uint32_t const bits = static_cast<std::uint32_t>(x.bits) << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
/// Rounds to the nearest, and of two as near to the even one, as libtorch does. NaN stays NaN.
TRIREME_BODY BFloat16 rounded(float x) {
    std::uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return {0x7FC0};
    return {static_cast<std::uint16_t>((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16)};
}

/// Names the type in which numbers of T are computed and summed.
template <typename T>
struct Arithmetic {
    using Type = T;
};
template <>
struct Arithmetic<BFloat16> {
    using Type = float;
};
template <typename T>
using Sum = typename Arithmetic<T>::Type;

TRIREME_BODY float number(BFloat16 x) {
    return widened(x);
}
TRIREME_BODY float number(float x) {
    return x;
}
TRIREME_BODY double number(double x) {
    return x;
}
TRIREME_BODY void put(BFloat16& to, float x) {
    to = rounded(x);
}
TRIREME_BODY void put(float& to, float x) {
    to = x;
}
TRIREME_BODY void put(double& to, double x) {
    to = x;
}

/// Numbers that are read or written together: 16 bytes where V is Packs<T>::kMost.
template <typename T, int V>
struct alignas(V * sizeof(T)) Pack {
    T at[V];
};
template <typename T>
struct Packs {
    static constexpr int kMost = 16 / static_cast<int>(sizeof(T));
};
template <int V, typename T>
TRIREME_BODY Pack<T, V> load(T const* from) {
    return *reinterpret_cast<Pack<T, V> const*>(from);
}
template <int V, typename T>
TRIREME_BODY void store(T* to, Pack<T, V> const& values) {
    *reinterpret_cast<Pack<T, V>*>(to) = values;
}

/// Tells whether rows of `width` numbers at `data` can be read in packs of 16 bytes.
template <typename T>
inline bool packs(std::int64_t width, T const* data) {
    return width % Packs<T>::kMost == 0 && reinterpret_cast<std::uintptr_t>(data) % 16 == 0;
}

/// Calls f(pointer) for each.
template <typename F, typename... P>
void each_of(F const& f, P... pointers) {
    (f(static_cast<void const*>(pointers)), ...);
}

/// A team of one: what the host runs.
struct OneLane {
    int lane() const { return 0; }
    int lanes() const { return 1; }
    void wait() const {}
    template <typename S>
    S sum(S x) const {
        return x;
    }
    template <typename S>
    S highest(S x) const {
        return x;
    }
    template <typename S>
    S lowest(S x) const {
        return x;
    }
    /// one number of each lane, seen by all after wait()
    template <typename S>
    S* shared() const {
        static thread_local S place[1];
        return place;
    }
};

/// Runs a program's rows in order, on the calling thread.
template <typename Program>
void run_on_host(Program const& program) {
    for (std::int64_t row = 0; row < program.rows(); ++row)
        if (program.packed())
            program.template run<Program::kPack>(OneLane{}, row);
        else
            program.template run<1>(OneLane{}, row);
}

} // namespace trireme::framework::kernels::fused
