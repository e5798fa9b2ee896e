// Takes medians of what a run measures.
#pragma once
#include <algorithm>
#include <cstddef>
#include <vector>

namespace trireme::framework::run {

/// Returns the upper one of two in the middle; 0 where there are no values.
inline double median(std::vector<double> values) {
    if (values.empty()) return 0;
    auto const middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::ranges::nth_element(values, middle);
    return *middle;
}

} // namespace trireme::framework::run
