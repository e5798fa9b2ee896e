// Factors of dropout as framework/kernels/random.hpp draws them, to the bit.
#pragma once
#include <cstdint>

#include "framework/kernels/fused/team.hpp"

namespace trireme::framework::kernels::fused {

/// One dropout layer of one step on rows of tokens; no samples: none.
struct Dropout {
    std::uint64_t key = 0;
    std::uint32_t threshold = 0;             ///< words below it drop their element
    double scale = 1;                        ///< of what stays: 1 / (1 - p)
    std::int64_t const* samples = nullptr;   ///< of each row
    std::int64_t const* positions = nullptr; ///< of each row

    TRIREME_BODY bool on() const { return samples != nullptr; }
};

/// Philox-4x32-10 (Salmon et al. 2011), the words of cluster::philox.
struct PhiloxWords {
    std::uint32_t word[4];
};
TRIREME_BODY PhiloxWords philox_words(std::uint64_t key, std::uint32_t block, std::uint32_t row,
                                      std::uint64_t high) {
    std::uint32_t w0 = block, w1 = row, w2 = static_cast<std::uint32_t>(high),
                  w3 = static_cast<std::uint32_t>(high >> 32);
    auto key_a = static_cast<std::uint32_t>(key), key_b = static_cast<std::uint32_t>(key >> 32);
    for (int round = 0; round < 10; ++round) {
        std::uint64_t const a = std::uint64_t{0xD2511F53} * w0, b = std::uint64_t{0xCD9E8D57} * w2;
        w0 = static_cast<std::uint32_t>(b >> 32) ^ w1 ^ key_a;
        w1 = static_cast<std::uint32_t>(b);
        w2 = static_cast<std::uint32_t>(a >> 32) ^ w3 ^ key_b;
        w3 = static_cast<std::uint32_t>(a);
        key_a += 0x9E3779B9;
        key_b += 0xBB67AE85;
    }
    return {{w0, w1, w2, w3}};
}

/// Factors of elements [first, first + V) of a row.
template <int V, typename S>
TRIREME_BODY void dropout_factors(Dropout const& drop, std::int64_t row, std::int64_t first,
                                  S (&factors)[V]) {
    for (int i = 0; i < V; ++i) factors[i] = 1;
    if (!drop.on()) return;
    auto const high = static_cast<std::uint64_t>(drop.samples[row]);
    auto const low = static_cast<std::uint32_t>(drop.positions[row]);
    PhiloxWords words{};
    for (int i = 0; i < V; ++i) {
        std::int64_t const element = first + i;
        if (i == 0 || element % 4 == 0)
            words = philox_words(drop.key, static_cast<std::uint32_t>(element / 4), low, high);
        factors[i] = words.word[element % 4] < drop.threshold ? S(0) : static_cast<S>(drop.scale);
    }
}

/// out = x dropped, plus `residual` where there is one.
template <typename T>
struct DropRows {
    std::int64_t count, width;
    T const* x;
    T const* residual;
    Dropout drop;
    T* out;

    static constexpr int kPack = Packs<T>::kMost, kLanes = 256;
    std::int64_t rows() const { return count; }
    std::int64_t columns() const { return width; }
    bool packed() const { return packs(width, x) && packs(width, residual) && packs(width, out); }
    template <typename F>
    void each_pointer(F const& f) const {
        each_of(f, x, residual, out, drop.samples, drop.positions);
    }

    template <int V, typename Team>
    TRIREME_BODY void run(Team const& team, std::int64_t row) const {
        using S = Sum<T>;
        for (std::int64_t d = team.lane() * V; d < width; d += team.lanes() * V) {
            S factors[V];
            dropout_factors(drop, row, d, factors);
            Pack<T, V> const in = load<V>(x + row * width + d);
            Pack<T, V> sums{};
            if (residual) sums = load<V>(residual + row * width + d);
            for (int i = 0; i < V; ++i) {
                S const dropped = number(in.at[i]) * factors[i];
                put(sums.at[i], residual ? number(sums.at[i]) + dropped : dropped);
            }
            store(out + row * width + d, sums);
        }
    }
};

} // namespace trireme::framework::kernels::fused
