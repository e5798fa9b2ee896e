#include "cluster/fault.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <thread>

#include "cluster/error.hpp"
#include "cluster/process.hpp"

namespace trireme::cluster {

namespace {

constexpr std::array kActions{"none",  "kill",   "stop",    "terminate",   "raise",
                              "sleep", "exit",   "exhaust", "nan",         "flip",
                              "skip",  "resize", "retype",  "short_write", "no_space"};

std::vector<std::string> split(std::string_view text, char at) {
    std::vector<std::string> words;
    while (true) {
        auto const end = text.find(at);
        words.emplace_back(text.substr(0, end));
        if (end == std::string_view::npos) return words;
        text.remove_prefix(end + 1);
    }
}

template <typename T>
bool number(std::string const& text, T& out) {
    auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    return error == std::errc{} && end == text.data() + text.size();
}

template <typename T>
bool number_or_any(std::string const& text, T& out) {
    return text == "*" || number(text, out);
}

std::optional<Fault> parse_fault(std::string const& text) {
    auto const words = split(text, ':');
    if (words.size() != 4 || words[0].empty()) return std::nullopt;
    Fault fault{.phase = words[0]};
    auto const action = split(words[3], '=');
    auto const* const known =
        std::ranges::find_if(kActions, [&](char const* name) { return action[0] == name; });
    bool const good =
        number_or_any(words[1], fault.rank) && number_or_any(words[2], fault.step) &&
        known != kActions.end() && known != kActions.begin() &&
        (action.size() == 1 || (action.size() == 2 && number(action[1], fault.value)));
    fault.action = static_cast<FaultAction>(known - kActions.begin());
    return good ? std::optional(fault) : std::nullopt;
}

struct Plan {
    std::vector<Fault> waiting;
    std::mutex mutex;
    std::atomic<bool> any = false;
    std::atomic<int> rank = -1;
    std::atomic<std::int64_t> step = -1;

    Plan() {
        if (char const* const text = std::getenv("TRIREME_FAULT")) waiting = parse_faults(text);
        any = !waiting.empty();
    }
};

Plan& plan() {
    static Plan instance;
    return instance;
}

[[noreturn]] void exhaust_memory() {
    rlimit const none{0, 0};
    setrlimit(RLIMIT_AS, &none); // maps of what is there stay
    for (std::vector<std::unique_ptr<char[]>> taken;;)
        taken.push_back(std::make_unique<char[]>(1 << 20));
}

std::optional<Fault> take_planned(std::string_view phase) {
    Plan& p = plan();
    std::scoped_lock const lock(p.mutex);
    auto const found = std::ranges::find_if(p.waiting, [&](Fault const& f) {
        return f.phase == phase && (f.rank < 0 || f.rank == p.rank) &&
               (f.step < 0 || f.step == p.step);
    });
    if (found == p.waiting.end()) return std::nullopt;
    Fault const fault = *found;
    p.waiting.erase(found);
    p.any = !p.waiting.empty();
    return fault;
}

} // namespace

std::vector<Fault> parse_faults(std::string_view text) {
    std::vector<Fault> faults;
    for (auto const& word : text.empty() ? std::vector<std::string>{} : split(text, ',')) {
        auto const fault = parse_fault(word);
        if (!fault)
            throw InputError(fmt::format(
                "TRIREME_FAULT: {}: legal: PHASE:RANK:STEP:ACTION[=VALUE], RANK and STEP "
                "numbers or *, ACTION one of {}",
                word, fmt::join(kActions.begin() + 1, kActions.end(), ", ")));
        faults.push_back(*fault);
    }
    return faults;
}

void set_faults(std::string_view text) {
    std::scoped_lock const lock(plan().mutex);
    plan().waiting = parse_faults(text);
    plan().any = !plan().waiting.empty();
}

bool faults_wait() {
    return plan().any;
}

void set_fault_rank(int rank) {
    plan().rank = rank;
}

void set_fault_step(std::int64_t step) {
    plan().step = step;
}

namespace {

/// Does what the fault does by itself. Returns false if its place has to do it.
bool act(Fault const& fault, std::string_view phase) {
    switch (fault.action) {
    case FaultAction::kill: ::raise(SIGKILL); return true;
    case FaultAction::stop: ::raise(SIGSTOP); return true;
    case FaultAction::terminate: ::raise(SIGTERM); return true;
    case FaultAction::raise: throw std::runtime_error(fmt::format("fault on purpose at {}", phase));
    case FaultAction::sleep:
        std::this_thread::sleep_for(std::chrono::duration<double>(fault.value));
        return true;
    case FaultAction::exhaust: exhaust_memory(); return true;
    case FaultAction::exit: std::_Exit(static_cast<int>(fault.value));
    default: return false;
    }
}

} // namespace

std::optional<Fault> fault_point(std::string_view phase) {
    if (!plan().any) return std::nullopt;
    auto const fault = take_planned(phase);
    if (!fault) return std::nullopt;
    say("trireme: fault fired: {} on rank {} at step {}: {} (process {})\n", phase,
        plan().rank.load(), plan().step.load(), kActions[static_cast<std::size_t>(fault->action)],
        getpid());
    return act(*fault, phase) ? std::nullopt : fault;
}

} // namespace trireme::cluster
