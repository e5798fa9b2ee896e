// Watches for what tells a run from outside to save or to stop: signals, files in its folder, the
// job's end, its budget.
//
// RUN/STOP: save and end, and let no later job start, until the file is removed. RUN/SAVE: save
// now; the file goes.
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "cluster/communicator.hpp"
#include "framework/run/job_history.hpp"
#include "framework/run/job_limits.hpp"
#include "framework/run/section.hpp"

namespace trireme::framework::run {

enum class StopReason : std::uint8_t { none, step, signal, end_of_job, budget, file };

struct Orders {
    StopReason stop = StopReason::none;
    bool save = false;
    /// cluster::ExitCode of a job that ends for this reason.
    int exit_code() const;
    /// "asked to stop by a signal"
    char const* reason() const;
};

/// Holds what Control needs of a run's configuration.
struct Rules {
    std::string run; ///< folder of the run
    CheckpointSection checkpoint = {};
    JobSection job = {};
};

class Control {
  public:
    /// `world` must outlive it. `bytes_to_save`: of the whole run, from which the first save's time
    /// is guessed. Local.
    Control(Rules rules, JobLimits limits, JobHistory const& history, std::int64_t bytes_to_save,
            cluster::Communicator& world);

    /// Why this job must not start at all: a file STOP, a spent budget, `job.attempts` jobs that
    /// started at `step` and got no further. Collective; the same on every rank.
    std::optional<std::string> refusal(std::int64_t step);
    /// Says what the user should know about the time that is left (rank 0); empty if there is
    /// enough.
    std::string warning() const;
    /// Call it after each step. `evaluation_next`: an evaluation comes before the next call.
    /// Collective; the same on every rank.
    Orders agree(bool evaluation_next);

    void step_took(double seconds);
    void evaluation_took(double seconds);
    /// Notes that a save has begun, and removes the file RUN/SAVE that may have asked for it.
    void save_began();
    /// Notes how long a save took from its beginning.
    void save_took(double seconds);

  private:
    using Clock = std::chrono::system_clock;
    double used_node_hours() const;
    /// Seconds that the rest of an orderly end takes, twice over: one more step, an evaluation if
    /// one is next, a save.
    double lead(bool evaluation_next) const;
    StopReason stop_of_rank_0(bool evaluation_next) const;

    Rules rules_;
    JobLimits limits_;
    JobHistory history_;
    cluster::Communicator& world_;
    Clock::time_point start_ = Clock::now(), last_save_ = Clock::now();
    double step_seconds_ = 0; ///< the longest of late, forgotten slowly
    double evaluation_seconds_, save_seconds_;
};

} // namespace trireme::framework::run
