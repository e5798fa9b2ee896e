// Evaluations of a run while it trains: when one is due, and whether it is the best so far.
#pragma once
#include <optional>

#include "framework/evaluation/evaluator.hpp"
#include "framework/parallelize/parallel_model.hpp"
#include "framework/run/control.hpp"
#include "framework/train/completions.hpp"
#include "framework/train/reports.hpp"
#include "framework/train/run_context.hpp"

namespace trireme::framework::train {

class Validation {
  public:
    /// `run`, `model` and `reports` must outlive this; `scorer` reads completions on rank 0. Local.
    Validation(RunContext& run, parallelize::ParallelModel& model, Reports& reports,
               evaluation::CompletionScorer scorer = {});

    /// Every evaluation.every steps, and after the last step of the run, and of the job by
    /// job.until_step, once. Local.
    bool due() const;
    /// Evaluates, keeps count in the progress of the run, and tells `control` how long it took;
    /// true if it is the best so far. Every step must be settled. Collective.
    bool evaluate(run::Control& control);
    /// Measures the loss on general text before the first step, if there is such text and it was
    /// not measured yet. Collective.
    void measure_general();
    /// Throws InputError if a run that is taken up has not measured this text before its first
    /// step. Local.
    void check_general() const;
    /// result of the last evaluation of this job
    std::optional<evaluation::Metrics> const& last() const { return last_; }

  private:
    /// Follows what is forgotten; false if it is too much. Collective.
    bool follow_general();
    double general_loss(); ///< Collective.
    /// Tells the user, once, that the run overfits.
    void follow_overfitting(evaluation::Outcome const& outcome);
    /// Takes the value of the metric that decides into the progress; true if it is the best so far
    /// and `allowed`.
    bool take_value(bool allowed);

    RunContext& run_;
    Reports& reports_;
    evaluation::Evaluator evaluator_;
    Completions completions_;
    std::optional<evaluation::Metrics> last_;
};

} // namespace trireme::framework::train
