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

/// The record of each rank of the world; a rank without one did not answer.
using Flights = std::vector<std::optional<Flight>>;

/// Names a rank, "rank 1@n3"; one without a record by its number alone.
std::string who(Flights const& flights, int rank);
/// Says where a rank is: "phase step/forward of step 12, last call all_reduce #8
/// 'gradient/layers.3' in group data (finished)"
std::string where(Flight const& flight);

/// Finds members of one group that made different calls at the same place of its order, the first
/// such place.
std::optional<Verdict> find_mismatch(Flights const& flights);
/// Finds why calls do not end. `silent[r]`: rank r did not answer, though it may have a record.
/// Returns nothing if nobody waits.
std::optional<Verdict> find_hang(Flights const& flights, std::vector<bool> const& silent);
/// Finds who ended a job that is over, from what its ranks left. Returns nothing if all ended well.
std::optional<Verdict> find_death(Flights const& flights);

} // namespace trireme::cluster
