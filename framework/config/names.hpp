// Names of enumerated values as they stand in files and messages: one table for each type, in the
// order of its values.
#pragma once
#include <array>
#include <cstddef>

#include "framework/config/config.hpp"

namespace trireme::framework::config {

template <typename Enum>
struct Names;
template <>
struct Names<parallel::ScheduleKind> {
    static constexpr auto value = parallel::kScheduleNames;
};
template <>
struct Names<Recompute> {
    static constexpr std::array value{"none", "selective", "full"};
};
template <>
struct Names<Offload> {
    static constexpr std::array value{"none", "optimizer"};
};
template <>
struct Names<Device> {
    static constexpr std::array value{"cpu", "cuda"};
};
template <>
struct Names<NumericsMode> {
    static constexpr std::array value{"bitwise", "fast"};
};
template <>
struct Names<Compute> {
    static constexpr std::array value{"fp64", "fp32", "bf16"};
};
template <>
struct Names<RateSchedule> {
    static constexpr std::array value{"constant", "linear", "cosine", "wsd"};
};
template <>
struct Names<NonFinite> {
    static constexpr std::array value{"stop", "skip", "rollback"};
};
template <>
struct Names<Rehearse> {
    static constexpr std::array value{"off", "auto", "always"};
};

template <typename Enum>
requires requires {
    Names<Enum>::value;
}
constexpr char const* name_of(Enum value) {
    return Names<Enum>::value[static_cast<std::size_t>(value)];
}

} // namespace trireme::framework::config
