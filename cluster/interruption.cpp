#include "cluster/interruption.hpp"

#include <signal.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <mutex>
#include <set>

#include "cluster/process.hpp"

namespace trireme::cluster {

namespace {

constexpr std::array kSignals{SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2};

std::mutex registry;
std::set<std::string> folders; ///< under `registry`, which is never given back once the end began

bool is_ignored(int signal) {
    struct sigaction now = {};
    sigaction(signal, nullptr, &now);
    return now.sa_handler == SIG_IGN;
}

/// Other threads may still make files in it.
void remove(std::string const& folder) {
    constexpr int kAttempts = 100;
    std::error_code error;
    for (int i = 0; i < kAttempts && std::filesystem::exists(folder, error); ++i)
        std::filesystem::remove_all(folder, error);
}

[[noreturn]] void end_by(int signal) {
    registry.lock();
    for (auto const& folder : folders) remove(folder);
    say("trireme: ended by a signal ({}): nothing is left of what was being made\n",
        strsignal(signal));
    ::signal(signal, SIG_DFL);
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, signal);
    pthread_sigmask(SIG_UNBLOCK, &one, nullptr);
    kill(getpid(), signal);
    while (true) pause();
}

} // namespace

RemovalAtSignal::RemovalAtSignal() {
    sigemptyset(&signals_);
    for (int const signal : kSignals)
        if (!is_ignored(signal)) sigaddset(&signals_, signal);
    pthread_sigmask(SIG_BLOCK, &signals_, &former_);
    receiver_ = std::jthread([signals = signals_](std::stop_token const& stop) {
        constexpr timespec kPause{0, 50'000'000};
        while (!stop.stop_requested())
            if (int const signal = sigtimedwait(&signals, nullptr, &kPause); signal > 0)
                end_by(signal);
    });
}

RemovalAtSignal::~RemovalAtSignal() {
    receiver_ = {};
    pthread_sigmask(SIG_SETMASK, &former_, nullptr);
}

void remove_at_signal(std::string const& folder) {
    std::scoped_lock const lock(registry);
    folders.insert(folder);
}

void keep_at_signal(std::string const& folder) {
    std::scoped_lock const lock(registry);
    folders.erase(folder);
}

} // namespace trireme::cluster
