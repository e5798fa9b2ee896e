#include "framework/stop_signal.hpp"

#include <array>
#include <atomic>
#include <csignal>

#include "cluster/flight_record.hpp"

namespace trireme::framework {

namespace {

constexpr std::array<int, 3> kSignals{SIGUSR1, SIGTERM, SIGINT};
std::array<struct sigaction, kSignals.size()> former;
std::atomic<bool> flag = false;
static_assert(std::atomic<bool>::is_always_lock_free);

void remember(int signal) {
    flag = true;
    if (auto* const recorder = cluster::flight_recorder(); recorder && signal == SIGTERM) recorder->asked_to_end();
}

} // namespace

StopSignal::StopSignal() {
    flag = false;
    struct sigaction action = {};
    action.sa_handler = remember;
    action.sa_flags = SA_RESTART;
    for (std::size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &action, &former[i]);
}

StopSignal::~StopSignal() {
    flag = false;
    for (std::size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &former[i], nullptr);
}

bool StopSignal::asked() {
    return flag;
}

} // namespace trireme::framework
