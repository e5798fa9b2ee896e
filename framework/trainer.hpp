// The training loop. One step is six numbered lines; everything else is set up before it or happens
// between steps.
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
#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "cluster/communicator.hpp"
#include "data/loader.hpp"
#include "framework/batch_source.hpp"
#include "framework/config.hpp"
#include "framework/disk_room.hpp"
#include "framework/evaluator.hpp"
#include "framework/log/run_log.hpp"
#include "framework/optimizer/adamw.hpp"
#include "framework/optimizer/gradient_norm.hpp"
#include "framework/pace.hpp"
#include "framework/parallel_model.hpp"
#include "framework/run_checkpoints.hpp"
#include "framework/run_control.hpp"
#include "framework/run_lock.hpp"
#include "framework/sensitivity.hpp"
#include "framework/step_guard.hpp"
#include "framework/step_results.hpp"
#include "framework/stragglers.hpp"
#include "parallel/mesh.hpp"

namespace trireme::framework {

struct TrainOutcome {
    int exit_code = 0;                 ///< cluster::ExitCode
    std::int64_t steps = 0;            ///< done in the run, earlier jobs included
    std::string weights_sha256;        ///< over all master weights (weights_hash.hpp)
    std::optional<Metrics> validation; ///< of the last evaluation
};

/// What one step found, the same on every rank.
struct StepReport {
    std::int64_t step = 0, cursor = 0; ///< where it began
    double loss = 0;                   ///< mean over the step's trained labels
    double gradient_norm = 0;
    double learning_rate = 0;
    std::int64_t tokens = 0;
    Finding finding; ///< anything but good: no update was made
    /// then: of the slots whose loss is not finite, or of the whole step
    std::vector<std::int64_t> sample_ids;
};

/// What a run reads, checked against each other.
struct TrainInputs {
    std::unique_ptr<data::Dataset> train;
    /// null: the data have none, and the run is not evaluated
    std::unique_ptr<data::Dataset> validation;
    ModelConfig model;
    std::int64_t steps = 0; ///< of the whole run
};
/// Fails before memory is taken for weights: data of another task, a sample the model has no
/// positions for. Local.
TrainInputs open_inputs(Config const& config);
/// Against what the run still has to write, as its newest checkpoint says. Local.
DiskRoom checkpoint_room(Config const& config, TrainInputs const& inputs);

class Trainer {
  public:
    /// Sets everything up, from the newest valid checkpoint of the run folder if there is one.
    /// Collective over `world`. Throws InputError before anything large is allocated. `device`:
    /// where it computes, with a `world` that takes tensors there (compute_device.hpp).
    Trainer(Config const& config, cluster::Communicator& world, JobLimits const& limits = {},
            at::Device device = at::kCPU);

    /// Trains to the end, or until told to stop. Collective. Throws JobError on every rank for a
    /// fault that the configuration does not let pass.
    TrainOutcome run();

    ParallelModel& model() { return model_; }
    std::int64_t step() const { return progress_.step; }
    std::int64_t total_steps() const { return inputs_.steps; }

  private:
    /// A step whose numbers the host has not read.
    struct QueuedStep {
        StepReport report;
        data::StepPlan plan;
        std::chrono::steady_clock::time_point start;
    };
    /// Queues one optimizer step; settles the one before on the way, and makes none if that takes
    /// the run back. Collective.
    void train_step();
    /// Reads what the queued step found, if there is one, and does what is to be done about it.
    /// Collective.
    Verdict settle();
    bool must_settle() const; ///< what comes after this step needs its result
    void go_on();             ///< to the next samples
    void announce_job();
    /// RUN/config.yaml says what the run does from now on; what it said before goes into the log.
    void renew_config_file();
    void report(StepReport const& step, double seconds);
    void report_stragglers();
    /// What the configuration wants done about a step that is not good.
    void treat(StepReport const& step);
    void roll_back(std::int64_t from);
    void compare_replicas();
    /// Measures how sensitive the run is to rounding, and says so if it is. Collective; every step
    /// must be settled.
    void rehearse();
    /// Evaluates on validation and keeps count; true if it is the best so far.
    bool evaluate_and_judge();
    void save(char const* why);
    void follow_saves(); ///< logs those that ended
    void finish_saves(); ///< waits for them; throws JobError if the newest failed
    /// waits for them, before something that ends or turns back the run on every rank
    void settle_saves();
    bool due(std::int64_t every, std::int64_t otherwise) const;
    bool evaluation_due() const;
    void end_if_over(bool better); ///< after an evaluation, and after the last step
    /// Why the run ended before its last step; empty if it did not.
    std::string early_end() const;

    Config config_;
    JobLimits limits_;
    parallel::Mesh mesh_;
    TrainInputs inputs_;
    data::BatchShape shape_;
    ParallelModel model_;
    AdamW optimizer_;
    GradientNorm gradient_norm_;
    BatchSource batches_;
    Sensitivity sensitivity_;
    StepResults results_;
    std::optional<QueuedStep> queued_;
    std::chrono::steady_clock::time_point settled_; ///< when a step was last read
    Evaluator evaluator_;
    RunLock lock_; ///< after everything that can be refused, before everything that writes
    RunLog log_;
    std::vector<std::string> notes_; ///< what the user should know before the first step
    RunCheckpoints checkpoints_;
    RunProgress progress_;
    RunControl control_;
    PhaseClock clock_;
    Pace pace_;
    bool told_sensitive_ = false; ///< once a job is enough
    std::optional<Metrics> validation_;
};

/// Reads everything, trains, closes; stops for a signal where the caller holds a StopSignal.
/// Collective over `world`.
TrainOutcome train(Config const& config, cluster::Communicator& world,
                   JobLimits const& limits = {});

} // namespace trireme::framework
