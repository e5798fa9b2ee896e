// The training loop. One step is six numbered lines (trainer_step.cpp); everything else is set up
// before it or happens between steps, in classes of its own: StepLedger, SaveSchedule, Validation,
// Sensitivity, Reports.
#pragma once
#include <functional>
#include <optional>
#include <string>

#include "cluster/communicator.hpp"
#include "framework/config/config.hpp"
#include "framework/inputs/loaded_model.hpp"
#include "framework/optimizer/adamw.hpp"
#include "framework/optimizer/gradient_norm.hpp"
#include "framework/run/control.hpp"
#include "framework/run/dynamics_log.hpp"
#include "framework/run/job_history.hpp"
#include "framework/run/lock.hpp"
#include "framework/run/trace.hpp"
#include "framework/step/batch_source.hpp"
#include "framework/train/reports.hpp"
#include "framework/train/run_context.hpp"
#include "framework/train/save_schedule.hpp"
#include "framework/train/sensitivity.hpp"
#include "framework/train/step_ledger.hpp"
#include "framework/train/validation.hpp"

namespace trireme::framework::train {

struct Outcome {
    int exit_code = 0;                             ///< cluster::ExitCode
    std::int64_t steps = 0;                        ///< done in the run, earlier jobs included
    std::string weights_sha256;                    ///< over all master weights (weights_hash.hpp)
    std::optional<evaluation::Metrics> validation; ///< metrics of the last evaluation
};

class Trainer {
  public:
    /// Sets everything up, from the newest valid checkpoint of the run folder if there is one.
    /// Collective over `world`. Throws InputError before anything large is allocated. `device`:
    /// where it computes, with a `world` that takes tensors there (compute_device.hpp); `scorer`:
    /// on rank 0, for evaluation.generate.
    Trainer(config::Config const& config, cluster::Communicator& world,
            run::JobLimits const& limits = {}, at::Device device = at::kCPU,
            evaluation::CompletionScorer scorer = {});

    /// Says what steps should come to. Local.
    void expect(run::Expectation const& expectation) { reports_.expect(expectation); }
    RunContext const& context() const { return run_; }

    /// Trains to the end, or until told to stop. Collective. Throws JobError on every rank for a
    /// fault that the configuration does not let pass.
    Outcome run();

    parallelize::ParallelModel& model() { return model_; }
    std::int64_t step() const { return run_.progress.step; }
    std::int64_t total_steps() const { return run_.inputs.steps; }

  private:
    void begin();   ///< starts from the weights that the configuration names
    void take_up(); ///< goes on from the checkpoint that was found
    /// Fills the base model, which must be that with which the run began. Collective.
    void start_base();
    void note_layout(at::Device device);

    /// Queues one optimizer step; settles the one before on the way, and makes none if that takes
    /// the run back. Collective.
    void train_step();
    /// Findings about the samples of the step whose passes are queued, on every rank; none unless
    /// train.dynamics asks. Collective.
    std::vector<run::SampleFinding> findings();
    void refuse_step();       ///< refuses a step in which no label is trained
    void go_on();             ///< moves to the next samples
    void pass_over();         ///< goes past samples that are left out
    bool must_settle() const; ///< does what comes after this step need its result?
    /// Measures how sensitive the run is to rounding. False if the step before was not good.
    /// Collective.
    bool rehearse();
    /// Reports, checks and saves, and takes orders from outside; the run ends if told to stop.
    /// Collective.
    run::Orders between_steps();
    void pause(run::Orders const& orders); ///< saves what a later job goes on from
    void end_if_over(bool better);         ///< after an evaluation, and after the last step
    Outcome outcome(int exit_code);

    RunContext run_;
    inputs::LoadedModel model_;
    optimizer::AdamW optimizer_;
    optimizer::GradientNorm gradient_norm_;
    step::BatchSource batches_;
    Sensitivity sensitivity_;
    run::Lock lock_; ///< after everything that can be refused, before everything that writes
    run::JobHistory history_; ///< of the jobs before, on rank 0
    run::Control control_;
    Reports reports_;
    run::DynamicsLog dynamics_;
    run::Trace trace_;
    Validation validation_;
    SaveSchedule saves_;
    StepLedger ledger_;
};

/// Works out what the steps of a run should come to. Local.
using Expect = std::function<run::Expectation(RunContext const& run)>;

/// Reads everything, trains, closes; stops for a signal where the caller holds a StopSignal.
/// Without `expect`, nothing is expected; `scorer`: on rank 0, for evaluation.generate. Collective
/// over `world`.
Outcome train(config::Config const& config, cluster::Communicator& world,
              run::JobLimits const& limits = {}, Expect const& expect = {},
              evaluation::CompletionScorer scorer = {});

} // namespace trireme::framework::train
