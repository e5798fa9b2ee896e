// The step that the device has been given and the host has not read, and what is done about what it
// found.
//
// [Note: a step is read one step late] Where the model is on a GPU, train_step queues a whole step,
// update included, and waits for nothing of it: the norm, the clipping and the verdict of guard.*
// are numbers of the GPU, and a step that is not good updates nothing there. The host reads a
// step's numbers when it has queued the passes of the next, so that the GPU always has work, and
// does then what the configuration says: skip, go back, stop. So of the host's state only what a
// step needs of the one before (how many updates there were, the usual loss) is settled before the
// update. Before whatever reads weights or ends the run, and on a CPU after every step, all is
// settled.
#pragma once
#include <ATen/ATen.h>

#include <chrono>
#include <optional>
#include <vector>

#include "data/loader.hpp"
#include "framework/parallelize/parallel_model.hpp"
#include "framework/run/dynamics_log.hpp"
#include "framework/run/step_guard.hpp"
#include "framework/step/results.hpp"
#include "framework/train/reports.hpp"
#include "framework/train/run_context.hpp"
#include "framework/train/save_schedule.hpp"

namespace trireme::framework::train {

/// A step whose numbers the host has not read.
struct QueuedStep {
    StepReport report;
    data::StepPlan plan;
    std::chrono::steady_clock::time_point start;
    std::vector<run::SampleFinding> findings = {}; ///< of train.dynamics, on rank 0
};

class StepLedger {
  public:
    /// All arguments must outlive this. `device`: of the model. Local.
    StepLedger(RunContext& run, parallelize::ParallelModel& model, SaveSchedule& saves,
               Reports& reports, run::DynamicsLog& dynamics, at::Device device);

    /// Takes a step whose update is queued: its loss and norm, float64 scalars where the model is,
    /// and the losses of its micro-batches. The step before must be settled. Local.
    void queue(QueuedStep step, at::Tensor const& loss, at::Tensor const& norm,
               at::Tensor const& losses);
    bool empty() const { return !queued_; }
    /// Whether something is gained by settling a step later than at once.
    bool reads_late() const { return results_.from_stream(); }
    /// Reads what the queued step found, if there is one, and does what the configuration wants
    /// done about it: notes it, leaves it out or goes back to a checkpoint. Collective. Throws
    /// JobError on every rank where the run is to stop.
    run::Decision settle();

  private:
    void count_sources(data::StepPlan const& plan); ///< of a good step
    void leave_out(StepReport const& step);
    void roll_back(std::int64_t from);

    RunContext& run_;
    parallelize::ParallelModel& model_;
    SaveSchedule& saves_;
    Reports& reports_;
    run::DynamicsLog& dynamics_;
    step::StepResults results_;
    std::optional<QueuedStep> queued_;
    std::chrono::steady_clock::time_point settled_; ///< when a step was last read
};

} // namespace trireme::framework::train
