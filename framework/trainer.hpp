// The training loop. One step is seven numbered lines; everything else is set up before it or happens between steps.
#pragma once
#include <memory>
#include <optional>
#include <string>

#include "cluster/communicator.hpp"
#include "data/loader.hpp"
#include "framework/batch_source.hpp"
#include "framework/config.hpp"
#include "framework/evaluator.hpp"
#include "framework/log/run_log.hpp"
#include "framework/optimizer/adamw.hpp"
#include "framework/parallel_model.hpp"
#include "framework/run_checkpoints.hpp"
#include "framework/run_control.hpp"
#include "framework/run_lock.hpp"
#include "framework/step_guard.hpp"
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
    double loss = 0; ///< mean over the step's trained labels
    double gradient_norm = 0;
    double learning_rate = 0;
    std::int64_t tokens = 0;
    Finding finding;                      ///< anything but good: no update was made
    std::vector<std::int64_t> sample_ids; ///< then: of the slots whose loss is not finite, or of the whole step
};

/// What a run reads, checked against each other.
struct TrainInputs {
    std::unique_ptr<data::Dataset> train, validation;
    ModelConfig model;
    std::int64_t steps = 0; ///< of the whole run
};
/// Fails before memory is taken for weights: data of another task, a sample the model has no positions for. Local.
TrainInputs open_inputs(Config const& config);

class Trainer {
  public:
    /// Sets everything up, from the newest valid checkpoint of the run folder if there is one. Collective over `world`.
    /// Throws InputError before anything large is allocated.
    /// `device`: where it computes, with a `world` that takes tensors there (compute_device.hpp).
    Trainer(Config const& config, cluster::Communicator& world, JobLimits const& limits = {},
            at::Device device = at::kCPU);

    /// Trains to the end, or until told to stop. Collective. Throws JobError on every rank for a fault that the
    /// configuration does not let pass.
    TrainOutcome run();
    /// One optimizer step, unless its samples are to be left out. Collective.
    StepReport train_step();

    ParallelModel& model() { return model_; }
    std::int64_t step() const { return progress_.step; }
    std::int64_t total_steps() const { return inputs_.steps; }

  private:
    /// Of every slot, in slot order, on every rank.
    std::vector<double> gather_losses(std::vector<double> const& mine, std::int64_t slots);
    void go_on(); ///< to the next samples
    void announce_job();
    void report(StepReport const& step, double seconds);
    void report_stragglers();
    /// What the configuration wants done about a step that is not good.
    void treat(StepReport const& step);
    void roll_back();
    void compare_replicas();
    /// Evaluates on validation and keeps count; true if it is the best so far.
    bool evaluate_and_judge();
    void save(char const* why);
    void follow_saves(); ///< logs those that ended
    void finish_saves(); ///< waits for them; throws JobError if the newest failed
    void settle_saves(); ///< waits for them, before something that ends or turns back the run on every rank
    bool due(std::int64_t every, std::int64_t otherwise) const;
    bool evaluation_due() const;

    Config config_;
    JobLimits limits_;
    parallel::Mesh mesh_;
    TrainInputs inputs_;
    data::BatchShape shape_;
    ParallelModel model_;
    AdamW optimizer_;
    BatchSource batches_;
    Evaluator evaluator_;
    RunLock lock_; ///< after everything that can be refused, before everything that writes
    RunLog log_;
    std::vector<std::string> notes_; ///< what the user should know before the first step
    RunCheckpoints checkpoints_;
    RunProgress progress_;
    RunControl control_;
    PhaseClock clock_;
    std::optional<Metrics> validation_;
};

/// Reads everything, trains, closes. Collective over `world`.
TrainOutcome train(Config const& config, cluster::Communicator& world, JobLimits const& limits = {});

} // namespace trireme::framework
