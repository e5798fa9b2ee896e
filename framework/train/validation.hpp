// Evaluations of a run while it trains: when one is due, and whether it is the best so far.
#pragma once
#include <optional>

#include "framework/evaluation/evaluator.hpp"
#include "framework/parallelize/parallel_model.hpp"
#include "framework/run/control.hpp"
#include "framework/train/reports.hpp"
#include "framework/train/run_context.hpp"

namespace trireme::framework::train {

class Validation {
  public:
    /// All arguments must outlive this. Local.
    Validation(RunContext& run, parallelize::ParallelModel& model, Reports& reports);

    /// Every evaluation.every steps, and after the last step, once. Local.
    bool due() const;
    /// Evaluates, keeps count in the progress of the run, and tells `control` how long it took;
    /// true if it is the best so far. Every step must be settled. Collective.
    bool evaluate(run::Control& control);
    /// result of the last evaluation of this job
    std::optional<evaluation::Metrics> const& last() const { return last_; }

  private:
    RunContext& run_;
    Reports& reports_;
    evaluation::Evaluator evaluator_;
    std::optional<evaluation::Metrics> last_;
};

} // namespace trireme::framework::train
