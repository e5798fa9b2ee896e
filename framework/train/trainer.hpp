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
#include "framework/config/config.hpp"
#include "framework/evaluation/evaluator.hpp"
#include "framework/inputs/inputs.hpp"
#include "framework/log/run_log.hpp"
#include "framework/optimizer/adamw.hpp"
#include "framework/optimizer/gradient_norm.hpp"
#include "framework/parallelize/parallel_model.hpp"
#include "framework/run/control.hpp"
#include "framework/run/lock.hpp"
#include "framework/run/pace.hpp"
#include "framework/run/step_guard.hpp"
#include "framework/run/stragglers.hpp"
#include "framework/step/batch_source.hpp"
#include "framework/step/results.hpp"
#include "framework/train/run_checkpoints.hpp"
#include "framework/train/sensitivity.hpp"
#include "parallel/mesh.hpp"

namespace trireme::framework::train {

struct Outcome {
    int exit_code = 0;                             ///< cluster::ExitCode
    std::int64_t steps = 0;                        ///< done in the run, earlier jobs included
    std::string weights_sha256;                    ///< over all master weights (weights_hash.hpp)
    std::optional<evaluation::Metrics> validation; ///< of the last evaluation
};

/// Holds what one step found, the same on every rank.
struct StepReport {
    std::int64_t step = 0, cursor = 0; ///< where it began
    double loss = 0;                   ///< mean over the step's trained labels
    double gradient_norm = 0;
    double learning_rate = 0;
    std::int64_t tokens = 0;
    run::Judgement finding; ///< anything but good: no update was made
    /// samples of a bad step: those of the micro-batches whose loss is not finite, or all of the
    /// step
    std::vector<std::int64_t> sample_ids;
};

class Trainer {
  public:
    /// Sets everything up, from the newest valid checkpoint of the run folder if there is one.
    /// Collective over `world`. Throws InputError before anything large is allocated. `device`:
    /// where it computes, with a `world` that takes tensors there (compute_device.hpp).
    Trainer(config::Config const& config, cluster::Communicator& world,
            run::JobLimits const& limits = {}, at::Device device = at::kCPU);

    /// Trains to the end, or until told to stop. Collective. Throws JobError on every rank for a
    /// fault that the configuration does not let pass.
    Outcome run();

    parallelize::ParallelModel& model() { return model_; }
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
    run::Decision settle();
    bool must_settle() const; ///< what comes after this step needs its result
    void go_on();             ///< to the next samples
    void announce_job();
    /// RUN/config.yaml says what the run does from now on; what it said before goes into the log.
    void renew_config_file();
    void report(StepReport const& step, double seconds);
    void report_stragglers();
    /// Does what the configuration wants done about a bad step.
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
    /// waits for saves in flight before something that ends the run or turns it back on every rank
    void settle_saves();
    bool due(std::int64_t every, std::int64_t otherwise) const;
    bool evaluation_due() const;
    void end_if_over(bool better); ///< after an evaluation, and after the last step
    /// Why the run ended before its last step; empty if it did not.
    std::string early_end() const;

    config::Config config_;
    run::JobLimits limits_;
    parallel::Mesh mesh_;
    inputs::Inputs inputs_;
    data::BatchShape shape_;
    parallelize::ParallelModel model_;
    optimizer::AdamW optimizer_;
    optimizer::GradientNorm gradient_norm_;
    step::BatchSource batches_;
    Sensitivity sensitivity_;
    step::StepResults results_;
    std::optional<QueuedStep> queued_;
    std::chrono::steady_clock::time_point settled_; ///< when a step was last read
    evaluation::Evaluator evaluator_;
    run::Lock lock_; ///< after everything that can be refused, before everything that writes
    log::RunLog log_;
    std::vector<std::string> notes_; ///< what the user should know before the first step
    RunCheckpoints checkpoints_;
    run::Progress progress_;
    run::Control control_;
    run::PhaseClock clock_;
    run::Pace pace_;
    bool told_sensitive_ = false; ///< once a job is enough
    std::optional<evaluation::Metrics> validation_;
};

/// Reads everything, trains, closes; stops for a signal where the caller holds a StopSignal.
/// Collective over `world`.
Outcome train(config::Config const& config, cluster::Communicator& world,
              run::JobLimits const& limits = {});

} // namespace trireme::framework::train
