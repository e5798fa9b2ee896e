// How long this thread has waited for other ranks: what a rank did itself is the rest of its time.
#pragma once
#include <cstdint>
#include <map>
#include <string>

namespace trireme::cluster {

/// Seconds this thread has spent in Work::wait so far. Local.
double seconds_waited();
/// Seconds in Work::wait by name of the group that was waited for. Local; grows when a group is
/// first waited for.
std::map<std::string, double> const& seconds_waited_by_group();

/// Counts what calls of this thread have moved, so that a wait gives up its core only while nothing
/// does. Back ends that move data in small parts add to it. Local.
inline thread_local std::uint64_t parts_moved = 0;

} // namespace trireme::cluster
