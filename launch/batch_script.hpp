// The script of a Slurm job that trains: launch/templates/srun.sbatch or mpirun.sbatch, filled in.
#pragma once
#include <string>
#include <vector>

#include "launch/site.hpp"

namespace trireme::launch {

struct BatchJob {
    /// name of the job, which is its run's, so that jobs of one run never overlap
    /// (--dependency=singleton)
    std::string name;
    int nodes = 1;
    std::string time;     ///< time limit in sbatch's form
    std::string launcher; ///< srun | mpirun
    int tasks_per_node = 1, cpus_per_task = 1;
    int lead = 180;                   ///< seconds before the end at which ranks are told to save
    NamedValues sbatch;               ///< further options; of the site and then of the user
    bool requeue_itself = true;       ///< on exit code 85; else the next job of a chain goes on
    std::vector<std::string> command; ///< command of each rank
};

/// One word of a POSIX shell that stands for exactly these bytes.
std::string shell_word(std::string const& bytes);

/// Seconds of a time limit: MINUTES, H:MM:SS or D-HH:MM:SS. Throws InputError naming `field`.
long long seconds_of(std::string const& field, std::string const& time);

/// Throws InputError for a value that no script may hold. Pure.
std::string batch_script(BatchJob const& job, Site const& site);

} // namespace trireme::launch
