// A site: what a Slurm job needs to say on one machine. Files of configs/sites, or the user's own.
#pragma once
#include <string>
#include <utility>
#include <vector>

namespace trireme::launch {

using NamedValues = std::vector<std::pair<std::string, std::string>>; ///< in the order of the file

struct Site {
    std::string name;        ///< name of its file
    std::string source;      ///< document that it was taken from
    std::string verified_on; ///< place and time of a job that ran with it; "nothing" if none did
    std::string launcher = "srun"; ///< srun | mpirun
    int tasks_per_node = 0;        ///< 0: the site says nothing, the user must
    int cpus_per_task = 0;         ///< likewise
    int most_minutes = 0;          ///< longest job; 0: not known
    int lead = 180;                ///< seconds before its end at which a job is told to save
    NamedValues sbatch;            ///< options without their dashes; no value: a bare option
    std::vector<std::string> modules;
    NamedValues environment;
    std::vector<std::string> srun, mpirun; ///< further options of the launcher, a word each
};

/// `name` is that of a file in `folder` (without .yaml), or a path (with a slash or .yaml). Throws
/// InputError "FILE:LINE: key: value: legal ..." for unknown, doubled and mistyped keys and for
/// values that no script may hold.
Site read_site(std::string const& name, std::string const& folder);

// The functions below check what may stand in a script. Each throws InputError "FIELD: VALUE:
// legal: ...".

/// Checks `#SBATCH --NAME=VALUE`, where nothing can be quoted. Refuses names that `trireme submit`
/// itself sets.
void check_sbatch_option(std::string const& field, std::string const& name,
                         std::string const& value);
/// Control characters cannot be quoted in a line.
void check_word(std::string const& field, std::string const& value);

} // namespace trireme::launch
