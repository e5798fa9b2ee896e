#include "cluster/work.hpp"

#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <cstdlib>
#include <exception>
#include <thread>
#include <utility>

#include "cluster/error.hpp"
#include "cluster/process.hpp"
#include "cluster/wait_observer.hpp"
#include "cluster/waiting.hpp"
#include "cluster/work_state.hpp"

namespace trireme::cluster {

namespace {

/// Polls while something is likely to happen soon, then gives the core to whoever must make it
/// happen. `idle`: how long nothing has moved.
void pause_between_polls(std::chrono::steady_clock::duration idle) {
    if (idle < std::chrono::milliseconds(50))
        sched_yield();
    else
        std::this_thread::sleep_for(std::chrono::microseconds(200));
}

thread_local double waited_so_far = 0;
thread_local std::map<std::string, double> waited_by_group;

/// Adds the time of its life to this thread's waiting.
struct WaitingTime {
    double& of_group;
    std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();
    explicit WaitingTime(std::string const& group) : of_group(waited_by_group[group]) {}
    WaitingTime(WaitingTime const&) = delete;
    ~WaitingTime() {
        double const seconds =
            std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        waited_so_far += seconds;
        of_group += seconds;
    }
};

} // namespace

double seconds_waited() {
    return waited_so_far;
}

std::map<std::string, double> const& seconds_waited_by_group() {
    return waited_by_group;
}

void Work::State::finish() {
    if (observer && !handed_over) observer->on_finish(group, sequence);
}

Work::Work(std::unique_ptr<State> state) : state_(std::move(state)) {}
Work::Work() noexcept = default;
Work::Work(Work&&) noexcept = default;

Work& Work::operator=(Work&& other) noexcept {
    if (this != &other) {
        Work dropped(std::move(*this)); // reports one that is still in flight
        state_ = std::move(other.state_);
    }
    return *this;
}

Work::~Work() {
    if (!state_ || state_->handed_over) return;
    if (std::uncaught_exceptions() >
        0) { // the job is ending: keep the library's memory alive, report the first error only
        static_cast<void>(state_.release());
        return;
    }
    say("trireme: {} was dropped before it was waited for\n", state_->what());
    std::abort();
}

bool Work::done() {
    if (!state_) return true;
    try {
        if (!state_->operation->test()) return false;
    } catch (JobError const& error) {
        throw JobError(fmt::format("{}: {}", state_->what(), error.what()));
    }
    state_->finish();
    state_.reset();
    return true;
}

void Work::wait() {
    if (!state_) return;
    WaitingTime const counted(state_->group);
    auto* const observer = dynamic_cast<WaitObserver*>(state_->observer.get());
    if (observer) observer->on_wait(state_->group, state_->sequence);
    state_->operation->awaited();
    if (done()) return;
    auto moved = parts_moved;
    auto idle_since = std::chrono::steady_clock::now();
    while (!done()) {
        auto const now = std::chrono::steady_clock::now();
        if (std::exchange(moved, parts_moved) != parts_moved) idle_since = now;
        if (now - state_->start > state_->deadline) {
            std::string const what = state_->what();
            if (observer) observer->on_deadline(state_->group, state_->sequence);
            state_->operation->give_up();
            auto const seconds = std::chrono::duration<double>(state_->deadline).count();
            static_cast<void>(state_.release()); // the library may still write into its memory
            throw JobError(fmt::format("{} passed its deadline of {} s", what, seconds));
        }
        pause_between_polls(now - idle_since);
    }
}

void Work::wait(void* stream) {
    if (!state_) return;
    if (!state_->operation->hold(stream, state_->what(), state_->start + state_->deadline))
        return wait();
    state_->finish();
    state_->handed_over = true;
}

} // namespace trireme::cluster
