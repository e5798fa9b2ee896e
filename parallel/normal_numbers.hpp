// Normal numbers as a pure function of a key and a counter.
#pragma once
#include <array>
#include <cmath>
#include <cstddef>
#include <numbers>

#include "cluster/philox.hpp"

namespace trireme::parallel {

/// Four normal numbers from one Philox block: Box and Muller's transform in float64, rounded once
/// by the caller.
inline std::array<double, 4> normals(cluster::PhiloxBlock const& bits) {
    std::array<double, 4> out{};
    for (std::size_t pair = 0; pair < 2; ++pair) {
        double const u = (static_cast<double>(bits[2 * pair]) + 0.5) * 0x1p-32;
        double const angle =
            2.0 * std::numbers::pi * (static_cast<double>(bits[2 * pair + 1]) + 0.5) * 0x1p-32;
        double const radius = std::sqrt(-2.0 * std::log(u));
        out[2 * pair] = radius * std::cos(angle);
        out[2 * pair + 1] = radius * std::sin(angle);
    }
    return out;
}

} // namespace trireme::parallel
