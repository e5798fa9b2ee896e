#include "cluster/environment.hpp"

#include <fmt/format.h>

#include <cstdlib>
#include <exception>

#include "cluster/error.hpp"
#include "cluster/mpi_communicator.hpp"

namespace trireme::cluster {

void refuse_singletons(char const* slurm_tasks, char const* slurm_rank, int world_size) {
    if (!slurm_tasks || !slurm_rank || world_size > 1 || std::atoi(slurm_tasks) <= 1) return;
    throw InputError(fmt::format(
        "SLURM_NTASKS is {} but MPI sees a world of 1 on task {}: each task would train a model of "
        "its "
        "own; start with `srun --mpi=pmix` or with mpirun (for one process: mpirun -n 1)",
        slurm_tasks, slurm_rank));
}

namespace {

void initialize_mpi(int& argc, char**& argv) {
    // One thread computes and calls MPI (docs/decisions/0001-mpi-progress.md); the watch talks
    // beside it, and keeps silent where MPI does not grant that (docs/decisions/0002-watch.md).
    int granted = MPI_THREAD_SINGLE;
    check_mpi(MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &granted), "MPI_Init_thread");
    if (granted < MPI_THREAD_SERIALIZED)
        throw InputError(
            fmt::format("MPI grants thread level {} only; legal: MPI_THREAD_SERIALIZED ({}) or "
                        "more: load or build an MPI library with threads",
                        granted, static_cast<int>(MPI_THREAD_SERIALIZED)));
    // MPI tells of a failed request of a collective at MPI_COMM_WORLD, whatever its communicator.
    check_mpi(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN),
              "MPI_Comm_set_errhandler");
}

} // namespace

Environment::Environment(int& argc, char**& argv) {
    initialize_mpi(argc, argv);
    int size = 1;
    check_mpi(MPI_Comm_size(MPI_COMM_WORLD, &size), "MPI_Comm_size");
    // A job that mpirun started has a world of the size it was told, also inside an allocation of
    // more tasks.
    if (!std::getenv("OMPI_COMM_WORLD_SIZE")) {
        char const* const of_step = std::getenv("SLURM_STEP_NUM_TASKS");
        refuse_singletons(of_step ? of_step : std::getenv("SLURM_NTASKS"),
                          std::getenv("SLURM_PROCID"), size);
    }
}

Environment::~Environment() {
    if (std::uncaught_exceptions() == 0) MPI_Finalize();
}

} // namespace trireme::cluster
