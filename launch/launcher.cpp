#include "launch/launcher.hpp"

#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <thread>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "cluster/process.hpp"

namespace trireme::launch {

namespace {

/// How a launcher names rank and size. A batch script and a shell of salloc are no ranks: Slurm
/// calls them task 0.
struct Launcher {
    char const *rank, *size;
};
constexpr std::array kLaunchers{Launcher{"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"},
                                Launcher{"PMIX_RANK", "SLURM_STEP_NUM_TASKS"},
                                Launcher{"PMI_RANK", "PMI_SIZE"},
                                Launcher{"MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE"},
                                Launcher{"SLURM_PROCID", "SLURM_STEP_NUM_TASKS"}};

Launcher const* launcher() {
    for (auto const& candidate : kLaunchers)
        if (std::getenv(candidate.rank)) return &candidate;
    return nullptr;
}

} // namespace

int launcher_rank() {
    auto const* const found = launcher();
    return found ? std::atoi(std::getenv(found->rank)) : -1;
}

void check_session_folder() {
    if (launcher_rank() >= 0) return;
    for (auto const* name : {"TMPDIR", "TEMP", "TMP"}) // in Open MPI's order
        if (char const* const folder = std::getenv(name))
            return cluster::check_writable_folder(name, folder);
    cluster::check_writable_folder("TMPDIR", "/tmp");
}

bool speaks() {
    return launcher_rank() <= 0 || launcher_size().empty();
}

std::string launcher_size() {
    auto const* const found = launcher();
    char const* const size = found ? std::getenv(found->size) : nullptr;
    return size ? size : "";
}

bool works_alone(std::string const& command) {
    if (!speaks()) return false;
    std::string const size = launcher_size();
    if (std::atoi(size.c_str()) > 1)
        cluster::say("note: {} does not divide its work: rank 0 of {} does it alone\n", command,
                     size);
    return true;
}

/// Lets nothing but KILL end this process.
static void ignore_requests_to_end() {
    for (int const signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2})
        std::signal(signal, SIG_IGN);
}

int leave_in_order(int rank, int ranks, int code) {
    if (ranks <= 1 || code == cluster::kDone) return code;
    ignore_requests_to_end();
    if (rank > 0) return cluster::kDone;
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    return code;
}

} // namespace trireme::launch
