// Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as
// 1, 2, 3", SC'11, section 4). A number is a pure function of (key, counter), so randomness belongs
// to a thing and not to a rank.
#pragma once
#include <array>
#include <cstdint>

namespace trireme::cluster {

using PhiloxBlock = std::array<std::uint32_t, 4>;

constexpr PhiloxBlock philox(std::uint64_t key, std::uint64_t counter_low,
                             std::uint64_t counter_high) {
    constexpr std::uint64_t kMultiplyA = 0xD2511F53, kMultiplyB = 0xCD9E8D57;
    constexpr std::uint32_t kWeylA = 0x9E3779B9, kWeylB = 0xBB67AE85;
    auto key_a = static_cast<std::uint32_t>(key), key_b = static_cast<std::uint32_t>(key >> 32);
    PhiloxBlock x{
        static_cast<std::uint32_t>(counter_low), static_cast<std::uint32_t>(counter_low >> 32),
        static_cast<std::uint32_t>(counter_high), static_cast<std::uint32_t>(counter_high >> 32)};
    for (int round = 0; round < 10; ++round) {
        std::uint64_t const a = kMultiplyA * x[0], b = kMultiplyB * x[2];
        x = {static_cast<std::uint32_t>(b >> 32) ^ x[1] ^ key_a, static_cast<std::uint32_t>(b),
             static_cast<std::uint32_t>(a >> 32) ^ x[3] ^ key_b, static_cast<std::uint32_t>(a)};
        key_a += kWeylA;
        key_b += kWeylB;
    }
    return x;
}

/// A key for a stream of its own: what the stream is for must differ in at least one of the three.
constexpr std::uint64_t philox_key(std::uint64_t seed, std::uint64_t purpose,
                                   std::uint64_t index = 0) {
    PhiloxBlock const x = philox(seed, purpose, index);
    return (static_cast<std::uint64_t>(x[1]) << 32) | x[0];
}

} // namespace trireme::cluster
