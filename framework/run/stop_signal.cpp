#include "framework/run/stop_signal.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <optional>
#include <thread>

#include "cluster/flight_record.hpp"

namespace trireme::framework::run {

namespace {

constexpr std::array<int, 6> kSignals{SIGUSR1, SIGUSR2, SIGTERM, SIGINT, SIGHUP, SIGCONT};
constexpr std::int64_t kBeat = 50'000'000, kPause = 500'000'000; ///< nanoseconds
std::array<struct sigaction, kSignals.size()> former;
std::atomic<bool> flag = false;
/// or its daemon on this node; 0: another launcher, or none
std::atomic<pid_t> mpirun = 0;
/// when mpirun sent CONT, and when a pause was last seen to end
std::atomic<std::int64_t> continued = 0, standing = 0;
std::optional<std::jthread> pulse;
static_assert(std::atomic<bool>::is_always_lock_free &&
              std::atomic<std::int64_t>::is_always_lock_free);

std::int64_t monotonic_nanoseconds() {
    timespec t{};
    clock_gettime(CLOCK_MONOTONIC, &t); // legal in a handler
    return t.tv_sec * 1'000'000'000 + t.tv_nsec;
}

void ask() {
    flag = true;
    cluster::note_request_to_end();
}

/// [Note: what mpirun does before it ends its ranks] Open MPI 4 answers Ctrl-C, TERM and HUP with
/// CONT to its ranks, TERM after odls_base_sigkill_timeout seconds, and KILL after as many again.
/// We listen for CONT, so that the save has all of that time. mpirun also stops its ranks at Ctrl-Z
/// and sends CONT at `fg`: a thread that should run every 50 ms sees that this process stood still,
/// and such a CONT does not count.
void remember(int signal, siginfo_t* info, void*) {
    if (signal == SIGCONT) {
        if (mpirun != 0 && info->si_pid == mpirun) continued = monotonic_nanoseconds();
    } else if (signal == SIGTERM || signal == SIGHUP) {
        ask();
    } else {
        flag = true;
    }
}

void watch_for_pauses(std::stop_token const& stop) {
    for (std::int64_t last = monotonic_nanoseconds(); !stop.stop_requested();) {
        std::this_thread::sleep_for(std::chrono::nanoseconds(kBeat));
        std::int64_t const time = monotonic_nanoseconds();
        if (time - last > kPause) standing = time;
        last = time;
    }
}

/// A CONT is judged when the thread above has had the time to see a pause that it ended.
void judge_continuation() {
    std::int64_t const came = continued;
    if (came == 0 || monotonic_nanoseconds() - came < 10 * kBeat) return;
    continued = 0;
    if (standing == 0 || std::abs(standing - came) > kPause) ask();
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
    flag = false;
    continued = standing = 0;
    mpirun = started_by_mpirun() ? getppid() : 0;
    if (mpirun != 0) pulse.emplace(watch_for_pauses);
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
    for (std::size_t i = 0; i < kSignals.size(); ++i) {
        struct sigaction now = {};
        sigaction(kSignals[i], nullptr, &now);
        if (now.sa_sigaction == remember) sigaction(kSignals[i], &former[i], nullptr);
    }
    pulse.reset();
    flag = false;
}

bool StopSignal::asked() {
    judge_continuation();
    return flag;
}

std::string StopSignal::advice() {
    if (!started_by_mpirun()) return "";
    return fmt::format("to stop: kill -USR1 {} saves, however long it takes, and gives exit code "
                       "85; Ctrl-C and TERM save "
                       "too, but {} s after them mpirun kills its ranks (twice "
                       "OMPI_MCA_odls_base_sigkill_timeout)",
                       name_of_mpirun(), 2 * sigkill_timeout());
}

} // namespace trireme::framework::run
