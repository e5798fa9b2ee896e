#include "framework/stop_signal.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <fstream>

#include "cluster/flight_record.hpp"

namespace trireme::framework {

namespace {

constexpr std::array<int, 6> kSignals{SIGUSR1, SIGTERM, SIGINT, SIGHUP, SIGCONT, SIGTSTP};
std::array<struct sigaction, kSignals.size()> former;
std::atomic<bool> flag = false, suspended = false;
std::atomic<pid_t> mpirun = 0; ///< or its daemon on this node; 0: another launcher, or none
static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<pid_t>::is_always_lock_free);

/// [Note: what mpirun does before it ends its ranks] Open MPI 4 answers Ctrl-C, TERM and HUP with CONT to its ranks,
/// TERM after odls_base_sigkill_timeout seconds, and KILL after as many again. CONT is heard here, so that the save has
/// all of that time. mpirun hands CONT on as well when it goes on after a pause (Ctrl-Z, `fg`), of which TSTP tells:
/// from then on only TERM counts.
bool asks_to_end(int signal, siginfo_t const& info) {
    if (signal != SIGCONT) return true;
    return mpirun != 0 && info.si_pid == mpirun && !suspended;
}

void remember(int signal, siginfo_t* info, void*) {
    if (signal == SIGTSTP) {
        suspended = true;
        raise(SIGSTOP); // what TSTP does to who does not listen
        return;
    }
    if (!asks_to_end(signal, *info)) return;
    flag = true;
    if (auto* const recorder = cluster::flight_recorder();
        recorder && (signal == SIGTERM || signal == SIGHUP || signal == SIGCONT))
        recorder->asked_to_end();
}

/// Seconds between the signals of mpirun; 1 is Open MPI's own.
long sigkill_timeout() {
    char const* const text = std::getenv("OMPI_MCA_odls_base_sigkill_timeout");
    return text ? std::max(0L, std::strtol(text, nullptr, 10)) : 1;
}

bool started_by_mpirun() {
    return std::getenv("OMPI_COMM_WORLD_SIZE") != nullptr;
}

/// The process id of mpirun where it runs on this node, for a line of the shell.
std::string name_of_mpirun() {
    std::ifstream file(fmt::format("/proc/{}/comm", getppid()));
    std::string name;
    std::getline(file, name);
    bool const found = name == "mpirun" || name == "mpiexec" || name == "orterun";
    return found ? std::to_string(getppid()) : "to mpirun";
}

} // namespace

StopSignal::StopSignal() {
    flag = suspended = false;
    mpirun = started_by_mpirun() ? getppid() : 0;
    struct sigaction action = {};
    action.sa_sigaction = remember;
    action.sa_flags = SA_RESTART | SA_SIGINFO;
    for (std::size_t i = 0; i < kSignals.size(); ++i) {
        sigaction(kSignals[i], nullptr, &former[i]);
        bool const of_nohup = kSignals[i] == SIGHUP && former[i].sa_handler == SIG_IGN;
        if (!of_nohup) sigaction(kSignals[i], &action, nullptr);
    }
}

StopSignal::~StopSignal() {
    flag = false;
    for (std::size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &former[i], nullptr);
}

bool StopSignal::asked() {
    return flag;
}

std::string StopSignal::advice() {
    if (!started_by_mpirun()) return "";
    return fmt::format(
        "to stop: kill -USR1 {} saves, however long it takes, and gives exit code 85; Ctrl-C and TERM save "
        "too, but {} s after them mpirun kills its ranks (twice OMPI_MCA_odls_base_sigkill_timeout)",
        name_of_mpirun(), 2 * sigkill_timeout());
}

} // namespace trireme::framework
