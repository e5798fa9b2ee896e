// The saves of a run: when one is due, and what becomes of it while training goes on.
#pragma once
#include <functional>
#include <optional>
#include <string>

#include "framework/parallelize/parallel_model.hpp"
#include "framework/run/control.hpp"
#include "framework/run/lock.hpp"
#include "framework/train/reports.hpp"
#include "framework/train/run_checkpoints.hpp"
#include "framework/train/run_context.hpp"

namespace trireme::framework::train {

class SaveSchedule {
  public:
    /// All arguments must outlive this. `control` learns how long saves take. Collective.
    SaveSchedule(RunContext& run, parallelize::ParallelModel& model, run::Lock const& lock,
                 run::Control& control, Reports& reports);

    /// Takes weights, moments and progress from the newest checkpoint that can be used; false if
    /// there is none. As RunCheckpoints::resume. Collective.
    bool resume(std::function<void(std::string const&)> const& say);
    void note_loss(std::int64_t step, double loss) { checkpoints_.note_loss(step, loss); }

    /// Is a save due by the configuration (checkpoint.every)? Local.
    bool due() const { return run_.due(run_.config.checkpoint.every); }
    /// Begins a save, or makes it (checkpoint.async), if this job holds the run folder and the
    /// copies of the weights agree: what has gone bad must not be saved. Every step must be
    /// settled. Collective. Throws JobError.
    void save(char const* why);
    /// Logs the saves that have ended. Local.
    void follow();
    /// Waits for those in flight. Collective. Throws JobError on every rank if the newest failed.
    void finish();
    /// Waits for saves in flight before something that ends the run or turns it back on every
    /// rank. Collective.
    void settle();

    /// Throws JobError if the copies of the weights that ranks hold are no longer equal
    /// (guard.compare_replicas; nothing if that is 0). Every step must be settled. Collective.
    void compare_replicas();

  private:
    RunContext& run_;
    parallelize::ParallelModel& model_;
    run::Lock const& lock_;
    run::Control& control_;
    Reports& reports_;
    RunCheckpoints checkpoints_;
};

} // namespace trireme::framework::train
