// The configuration of a run, shown to a person: every value and where it comes from, and what the
// run would be.
#pragma once
#include <string>
#include <vector>

#include "cluster/communicator.hpp"
#include "framework/config/config.hpp"

namespace trireme::launch {

/// The words of the environment variable TRIREME_SET: KEY=VALUE KEY=VALUE ... (no blanks inside a
/// value).
std::vector<std::string> environment_assignments();

/// FILE as this job sees it. TRIREME_SET is that of rank 0: launchers do not pass every variable
/// on, and ranks must not differ. Collective over `world`.
framework::config::ConfigWithOrigins read_shared_config(std::string const& file,
                                                        std::vector<std::string> const& set,
                                                        cluster::Communicator& world);

/// Says on standard error what reading a configuration has to say, for commands without a log. Call
/// on rank 0 alone.
void say_notes(framework::config::Config const& config);

/// Prints what `trireme train --dry-run` shows: values with origins, model, data, micro-batches,
/// memory. Opens the inputs, writes no file. With `ranks` > 0 it computes as if started on that
/// many. Collective over `world`; rank 0 prints. Throws InputError.
void dry_run(framework::config::ConfigWithOrigins resolved, int ranks,
             cluster::Communicator& world);

} // namespace trireme::launch
