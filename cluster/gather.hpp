// Gathering of values of different lengths.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "cluster/communicator.hpp"

namespace trireme::cluster {

/// The bytes of every member, by rank, on every member. Collective.
std::vector<std::string> all_gather_bytes(Communicator& group, std::string_view mine,
                                          std::string_view name);
/// `text` of `root`, on every member. Collective.
std::string broadcast_bytes(Communicator& group, std::string text, int root, std::string_view name);

} // namespace trireme::cluster
