// Records what a fault test measured: a row of the table in docs/reliability.md, which
// tests/fault/table.py makes.
#pragma once
#include <string>

namespace trireme::test {

struct FaultResult {
    std::string id;    ///< "F13"
    std::string fault; ///< what was done: "SIGSTOP to rank 1 in the middle of a step"
    std::string
        outcome; ///< what was seen: "named rank 1, its last call and phase; all ranks ended"
    double detect_seconds = -1; ///< from the fault to the report; -1: does not apply
    /// from the end of the job to the first new step of the next; -1: does not apply
    double recover_seconds = -1;
    int steps_lost = -1; ///< computed again; -1: does not apply
};

/// Appends a line of JSON to the file that TRIREME_FAULT_TABLE names; nothing without it. Call it
/// after the assertions: it does nothing if the test has failed.
void record(FaultResult const& result);

} // namespace trireme::test
