// Who is to blame when a job hangs, fails or is gone: a pure function of the flight records of its
// ranks.
//
// A rank waits for those that have not entered the call it waits in; they may wait for others in
// another group. Who is at the end of such a chain and waits for nobody, or does not answer, is
// guilty. Where the chain closes, the ranks on it wait for each other.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cluster/flight.hpp"

namespace trireme::cluster {

struct Verdict {
    std::vector<int> guilty; ///< world ranks, ascending; empty: not known
    std::string line;        ///< one line for a person: who, where, what it did last, who waited
};

/// What is known of each rank of the world; without a record it did not answer.
using Flights = std::vector<std::optional<Flight>>;

/// "rank 1@n3": of a rank without a record the number alone.
std::string who(Flights const& flights, int rank);
/// "phase step/forward of step 12, last call all_reduce #8 'gradient/layers.3' in group data
/// (finished)"
std::string where(Flight const& flight);

/// Members of one group that made different calls at the same place of its order: the first such
/// place.
std::optional<Verdict> find_mismatch(Flights const& flights);
/// Why calls do not end. `silent[r]`: rank r did not answer, though it may have a record. Nothing
/// if nobody waits.
std::optional<Verdict> find_hang(Flights const& flights, std::vector<bool> const& silent);
/// Who ended a job that is over, from what its ranks left. Nothing if all ended well.
std::optional<Verdict> find_death(Flights const& flights);

} // namespace trireme::cluster
