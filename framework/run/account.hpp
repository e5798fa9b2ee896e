// Counts what a run has taken so far: node-hours of its jobs, and the share of their time that went
// into steps that count. Local.
#pragma once
#include <chrono>
#include <cstdint>

#include "framework/run/job_history.hpp"

namespace trireme::framework::run {

class Account {
  public:
    Account() = default;
    /// This job begins now, on `nodes`, at `step`.
    Account(JobHistory const& past, int nodes, std::int64_t step);

    void step(std::int64_t step, double seconds) { kept_.add(step, seconds); }
    void back_to(std::int64_t step) { kept_.back_to(step); } ///< the run went back to it
    double node_hours() const;
    /// Time in steps that count / time of all jobs.
    double goodput() const;

  private:
    double seconds() const; ///< since this job began

    double past_node_hours_ = 0, past_seconds_ = 0;
    KeptSteps kept_;
    int nodes_ = 1;
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

} // namespace trireme::framework::run
