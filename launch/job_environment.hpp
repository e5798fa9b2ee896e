// Reads what the batch system says of the job that this process is part of.
#pragma once
#include <functional>
#include <optional>
#include <string>

#include "cluster/communicator.hpp"
#include "framework/run/job_limits.hpp"

namespace trireme::launch {

/// Value of an environment variable; nothing if it is not set.
using Variables = std::function<std::optional<std::string>(std::string const& name)>;
/// Standard output of a command, given as words; nothing if it fails or takes more than 20 s.
using Command = std::function<std::optional<std::string>(std::string const& command)>;

struct JobEnvironment {
    framework::run::JobLimits limits;
    std::string note; ///< says what could not be learnt, and why that matters; else empty
};

/// Slurm's variables; the end of the job from SLURM_JOB_END_TIME (since 23.02), or else from
/// squeue. Local. Throws InputError for a variable that does not hold what Slurm puts there.
JobEnvironment job_environment(Variables const& variables, Command const& run);

/// That of rank 0, on every rank: other nodes need not see the same variables, and Slurm is asked
/// once. Rank 0 prints the note. Collective.
framework::run::JobLimits shared_job_limits(cluster::Communicator& world);

} // namespace trireme::launch
