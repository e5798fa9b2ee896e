// How kernels of our own are vectorised: by the compiler, in one clone of each outer function per
// instruction set, chosen by the processor at start. Rows are padded with zeros to whole vectors,
// so no element sees tail arithmetic.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>

/// On the function that holds the loops; everything it calls must be TRIREME_INLINE to be compiled
/// for the same target.
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__)
#define TRIREME_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define TRIREME_CLONES
#endif
#define TRIREME_INLINE inline __attribute__((always_inline))

namespace trireme::framework::kernels {

/// Elements of one vector of 64 bytes.
template <typename T>
inline constexpr std::int64_t kLanes = 64 / static_cast<std::int64_t>(sizeof(T));

/// exp(x) for x <= about 88: Cephes' reduction and polynomial, within 2 ulp; flushes to 0 below
/// -87.
TRIREME_INLINE float exp_fast(float x) {
    float const clamped = x < -87.3F ? -87.3F : x;
    float const n = __builtin_floorf(clamped * 1.44269504F + 0.5F);
    float const r = (clamped - n * 0.693359375F) + n * 2.12194440e-4F;
    float p = 1.9875691500e-4F;
    p = p * r + 1.3981999507e-3F;
    p = p * r + 8.3334519073e-3F;
    p = p * r + 4.1665795894e-2F;
    p = p * r + 1.6666665459e-1F;
    p = p * r + 5.0000001201e-1F;
    float const value = p * r * r + r + 1.0F;
    std::int32_t const bits = (static_cast<std::int32_t>(n) + 127) << 23;
    float power;
    std::memcpy(&power, &bits, sizeof power);
    return x < -87.3F ? 0.0F : value * power;
}
TRIREME_INLINE double exp_fast(double x) {
    return __builtin_exp(x);
}

/// Largest of n elements that are no NaN, in 16 running maxima: a single one would wait for itself
/// at each of them.
template <typename T>
TRIREME_INLINE T largest(T const* s, std::int64_t n) {
    T most[16];
    for (T& x : most) x = -std::numeric_limits<T>::infinity();
    std::int64_t j = 0;
    for (; j + 16 <= n; j += 16)
        for (int l = 0; l < 16; ++l) most[l] = s[j + l] > most[l] ? s[j + l] : most[l];
    for (; j < n; ++j) most[0] = s[j] > most[0] ? s[j] : most[0];
    return *std::max_element(most, most + 16);
}

} // namespace trireme::framework::kernels
