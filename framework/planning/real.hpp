// Makes numbers of counts: costs are computed in float64.
#pragma once
#include <cstdint>

namespace trireme::framework::planning {

inline double real(std::int64_t n) {
    return static_cast<double>(n);
}

} // namespace trireme::framework::planning
