// Internal to the flight record: its block of memory, and how numbers and texts get into it.
#pragma once
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "cluster/flight_record.hpp"

namespace trireme::cluster {

/// Calls of each group whose hashes are kept.
inline constexpr std::size_t kHashes = 1024;

struct FlightRecorder::Block {
    FlightHeader header;
    std::array<FlightGroup, kFlightGroups> groups;
};

inline std::int64_t nanoseconds(auto time) {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count();
}

/// The system clock as it was set when this process began: one that is set anew must not make a
/// call look old.
inline std::int64_t flight_now() {
    static std::int64_t const offset = nanoseconds(std::chrono::system_clock::now()) -
                                       nanoseconds(std::chrono::steady_clock::now());
    return nanoseconds(std::chrono::steady_clock::now()) + offset;
}

template <std::size_t N>
void put(std::array<char, N>& to, std::string_view text) {
    std::size_t const n = std::min(text.size(), N - 1);
    std::memcpy(to.data(), text.data(), n);
    std::memset(to.data() + n, 0, N - n);
}

} // namespace trireme::cluster
