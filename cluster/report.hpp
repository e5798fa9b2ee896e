// The one report of a job that a watch ended: RUN/flight/verdict, and a line in RUN/log.txt.
#pragma once
#include <optional>
#include <string>

#include "cluster/verdict.hpp"

namespace trireme::cluster {

/// Whether the caller is the one to speak: the first to make RUN/flight/verdict (read_verdict),
/// whose line is put into the run's log too. Always without a run folder (""). Local.
bool claim_report(std::string const& run_folder, Verdict const& verdict);
/// What the watch of the last job wrote to RUN/flight/verdict; nothing if it had no cause to.
/// Throws InputError if it cannot be read.
std::optional<Verdict> read_verdict(std::string const& run_folder);

} // namespace trireme::cluster
