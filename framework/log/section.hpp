// Section `log` of a run's configuration.
#pragma once
#include <cstdint>
#include <string>

namespace trireme::framework::log {

struct Section {
    std::int64_t every =
        10; ///< steps between events `performance`; 0: none, and no times are taken
    /// a file of configs/machines, or the path of one, whose peak utilisation is a share of; empty:
    /// none
    std::string machine = {};
    std::int64_t trace_steps = 0; ///< steps whose timeline is kept in RUN/trace; 0: none
    std::int64_t trace_after = 2; ///< steps of the job before the first of these
};

} // namespace trireme::framework::log
