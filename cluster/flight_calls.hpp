// Groups and calls of flight records, and how verdicts name them.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "cluster/verdict.hpp"

namespace trireme::cluster {

/// Names a group as all its members know it: its name, its first member, which of that name it is.
using GroupKey = std::tuple<std::string, int, std::uint64_t>;

struct GroupMember {
    int rank; ///< in the world
    FlightGroup const* group;
};
using Groups = std::map<GroupKey, std::vector<GroupMember>>;

/// Returns the members of each group of more than one. They point into `flights`.
Groups groups_of(Flights const& flights);
/// Returns the calls that `group`, somebody else's, still keeps, the oldest first.
std::vector<FlightCall const*> calls_in_order(FlightGroup const& group);
/// Says of a call what must be the same on all members: "all_reduce of 3 float32 'x'".
std::string signature(FlightCall const& c);
/// "rank 0@a, rank 2@c and 3 more"
std::string ranks_text(Flights const& flights, std::vector<int> const& ranks);
/// "all_reduce #4 'x' in group data"
std::string call_text(FlightCall const& c, std::string_view group);

} // namespace trireme::cluster
