#include "framework/train/validation.hpp"

#include <fmt/format.h>

#include <chrono>
#include <cmath>

#include "cluster/flight_record.hpp"
#include "framework/tasks/task.hpp"

namespace trireme::framework::train {

Validation::Validation(RunContext& run, parallelize::ParallelModel& model, Reports& reports)
    : run_(run), reports_(reports), evaluator_(model, run.shape, run.config.evaluation.pooling) {}

bool Validation::due() const {
    auto const& progress = run_.progress;
    return progress.evaluated_step != progress.step &&
           (progress.step >= run_.inputs.steps ||
            (run_.inputs.validation && run_.due(run_.config.evaluation.every,
                                                run_.inputs.train->size() / run_.shape.samples)));
}

bool Validation::evaluate(run::Control& control) {
    cluster::enter_phase("evaluation");
    auto& progress = run_.progress;
    auto const start = std::chrono::steady_clock::now();
    last_ = evaluator_.evaluate(*run_.inputs.validation);
    double const seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    control.evaluation_took(seconds);
    auto event = nlohmann::ordered_json{{"kind", "evaluation"},
                                        {"step", progress.step},
                                        {"split", run_.config.data.validation},
                                        {"seconds", seconds}};
    event.update(last_->to_json());
    reports_.write(event);
    evaluation::Metric const& metric = evaluation::metric_named(
        run_.config.evaluation.metric,
        tasks::task_of(run_.inputs.validation->task().kind).findings(), "evaluation.metric");
    double const value = last_->value(metric.name);
    // A checkpoint holds the best value as JSON, which has no infinite number.
    bool const better =
        std::isfinite(value) &&
        (progress.best_step < 0 || evaluation::is_better(metric, value, progress.best));
    reports_.say(fmt::format("step {}: validation {}{}", progress.step, last_->text(metric.name),
                             better ? fmt::format("  (best {} so far)", metric.name) : ""));
    reports_.sources();
    progress.evaluated_step = progress.step;
    progress.evaluations_without_improvement =
        better ? 0 : progress.evaluations_without_improvement + 1;
    if (better) {
        progress.best = value;
        progress.best_step = progress.step;
    }
    return better;
}

} // namespace trireme::framework::train
