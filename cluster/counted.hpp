// Numbers as people write them.
#pragma once
#include <fmt/format.h>

#include <cmath>
#include <string>
#include <string_view>

namespace trireme::cluster {

/// Returns the plural of a regular noun: "ranks", "micro-batches".
inline std::string plural_of(std::string_view noun) {
    return fmt::format("{}{}", noun, noun.ends_with("batch") ? "es" : "s");
}

/// Returns "1 rank", "2 ranks", "1,024 samples"; `noun` is the singular of a regular noun.
/// `shown`: the number as it is to be printed, where it has a format of its own.
template <typename Number>
std::string counted(Number n, std::string_view noun, std::string const& shown = "") {
    return fmt::format("{} {}", shown.empty() ? fmt::format("{}", n) : shown,
                       n == Number{1} ? std::string(noun) : plural_of(noun));
}

/// `x` without the sign that a NaN may have: on x86 that of 0 * infinity is "-nan", which means
/// nothing to anybody.
inline double unsigned_nan(double x) {
    return std::isnan(x) ? std::fabs(x) : x;
}

} // namespace trireme::cluster
