// Gathering of values of which every member has a number of its own.
#pragma once
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "cluster/gather.hpp"

namespace trireme::cluster {

template <typename T>
std::string_view bytes_of(std::vector<T> const& values) {
    static_assert(std::is_trivially_copyable_v<T>);
    return {reinterpret_cast<char const*>(values.data()), values.size() * sizeof(T)};
}
template <typename T>
std::vector<T> values_of(std::string_view bytes) {
    static_assert(std::is_trivially_copyable_v<T>);
    std::vector<T> values(bytes.size() / sizeof(T));
    if (!values.empty()) std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
    return values;
}

/// The values of every member, by rank, on every member. Collective.
template <typename T>
std::vector<std::vector<T>> all_gather_values(Communicator& group, std::vector<T> const& mine,
                                              std::string_view name) {
    std::vector<std::vector<T>> all;
    for (auto const& part : all_gather_bytes(group, bytes_of(mine), name))
        all.push_back(values_of<T>(part));
    return all;
}

/// The values of `root`, on every member. Collective.
template <typename T>
std::vector<T> broadcast_values(Communicator& group, std::vector<T> const& mine, int root,
                                std::string_view name) {
    return values_of<T>(broadcast_bytes(group, std::string(bytes_of(mine)), root, name));
}

} // namespace trireme::cluster
