// The one report of a job that a watch ended: RUN/flight/verdict, and a line in RUN/log.txt.
#pragma once
#include <optional>
#include <string>

#include "cluster/verdict.hpp"

namespace trireme::cluster {

/// Returns whether the caller is the one to report: the first process that creates
/// RUN/flight/verdict (read_verdict), whose line also goes into the run's log. Without a run folder
/// ("") every caller is. Local.
bool claim_report(std::string const& run_folder, Verdict const& verdict);
/// Reads what the watch of the last job wrote to RUN/flight/verdict; nothing if it had no cause to
/// write. Throws InputError if it cannot be read.
std::optional<Verdict> read_verdict(std::string const& run_folder);

} // namespace trireme::cluster
