// Faults on purpose, for tests: TRIREME_FAULT="PHASE:RANK:STEP:ACTION[=VALUE]", several with commas
// between them.
//
// A phase is a place in the code that calls `fault_point`. RANK and STEP may be `*`. Each fault
// fires once in a process and says so on standard error before it does ("fault fired: ..."): a test
// whose fault did not fire proves nothing. Without the variable a call costs one test of a flag.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace trireme::cluster {

enum class FaultAction : std::uint8_t {
    none,
    // Done by fault_point itself:
    kill,      ///< SIGKILL to this process
    stop,      ///< SIGSTOP: the process hangs
    terminate, ///< SIGTERM to this process
    raise,     ///< throws std::runtime_error
    sleep,     ///< VALUE seconds
    exit,      ///< leaves at once with code VALUE
    exhaust,   ///< may have no more memory than it has, and asks for it: throws std::bad_alloc
    // The caller carries out these:
    nan,         ///< spoil a value
    flip,        ///< flip bit VALUE
    skip,        ///< leave the call out
    resize,      ///< use another count
    retype,      ///< use another dtype
    short_write, ///< write less than asked for
    no_space     ///< as if the disk were full
};

struct Fault {
    std::string phase;
    int rank = -1;          ///< -1: any
    std::int64_t step = -1; ///< -1: any
    FaultAction action = FaultAction::none;
    double value = 0;
};
/// Throws InputError for a text that is none.
std::vector<Fault> parse_faults(std::string_view text);

/// Replaces the faults of TRIREME_FAULT, so that several runs in one process have their own.
void set_faults(std::string_view text);

/// Some fault has not fired yet. Local.
bool faults_wait();

/// Who and where this process is; to be told by whoever knows. Local.
void set_fault_rank(int rank);
void set_fault_step(std::int64_t step);

/// Fires what TRIREME_FAULT asks for here. Returns a fault whose action the caller has to do.
std::optional<Fault> fault_point(std::string_view phase);

} // namespace trireme::cluster
