// MPI from start to end of the process.
#pragma once

namespace trireme::cluster {

/// Owner of MPI_Init_thread and MPI_Finalize. Make it first in main and let every communicator die
/// before it. Throws InputError when the MPI library grants less than MPI_THREAD_SERIALIZED, or
/// when Slurm started several tasks that MPI does not see as one job.
class Environment {
  public:
    Environment(int& argc, char**& argv);
    /// leaves MPI as it is while an exception is in flight: a collective would wait for the others
    ~Environment();
    Environment(Environment const&) = delete;
    Environment& operator=(Environment const&) = delete;
};

/// The singleton trap: N tasks of srun without PMI are N worlds of one, and would train N models.
/// Throws InputError. The arguments are SLURM_NTASKS and SLURM_PROCID as found (null: not set) and
/// MPI's world size.
void refuse_singletons(char const* slurm_tasks, char const* slurm_rank, int world_size);

} // namespace trireme::cluster
