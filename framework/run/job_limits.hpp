// Holds the limits that the batch system sets for this job. `launch`, which knows batch systems,
// fills it in; the trainer keeps to it.
#pragma once
#include <chrono>
#include <optional>
#include <string>

namespace trireme::framework::run {

struct JobLimits {
    /// when it will be killed; nothing: no limit is known
    std::optional<std::chrono::system_clock::time_point> end;
    int nodes = 1;
    std::string job_id; ///< empty: no batch system
    int restarts = 0;   ///< times that the batch system has requeued it
};

} // namespace trireme::framework::run
