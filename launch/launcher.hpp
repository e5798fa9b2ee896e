// Reads what mpirun or srun tell a process, before MPI is up and for commands that do not use it.
#pragma once
#include <string>

namespace trireme::launch {

/// The rank that the launcher gave this process; -1 if none started it.
int launcher_rank();
/// Whether this process is to speak: it is rank 0, or a launcher that says how many there are did
/// not start it.
bool speaks();
/// How many processes the launcher started, as text; "" if it does not say, or if none did.
std::string launcher_size();

/// Throws InputError where a process that no launcher started has no folder for temporary files:
/// there Open MPI keeps its sockets, and says of a failure in forty lines. Before MPI is up.
void check_session_folder();

/// Returns whether this process does the work of a command that does not divide it. Under mpirun or
/// in a step of srun the first rank works alone, and says so.
bool works_alone(std::string const& command);

/// Returns, in time, the exit code of this rank when all end with `code`. mpirun and srun kill the
/// others when a rank leaves with another code than 0; so the first rank leaves last, and its code
/// is that of the job. Ranks of a busy node may take longer still: from here on they ignore what
/// asks them to end, since TERM would make the job's code 143. mpirun 4.1 sleeps for twice its
/// time-out after such a code even if no rank is left (`mpirun -n 1 sh -c 'exit 2'` does); no rank
/// can spare it that, but a mistake's line is there before.
int leave_in_order(int rank, int ranks, int code);

} // namespace trireme::launch
