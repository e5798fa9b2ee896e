#include "framework/train/validation.hpp"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <utility>

#include "cluster/error.hpp"
#include "cluster/flight_record.hpp"
#include "framework/evaluation/overfitting.hpp"
#include "framework/tasks/task.hpp"

namespace trireme::framework::train {

Validation::Validation(RunContext& run, parallelize::ParallelModel& model, Reports& reports,
                       evaluation::CompletionScorer scorer)
    : run_(run), reports_(reports), evaluator_(model, run.shape, run.config.evaluation.pooling),
      completions_(run, model, std::move(scorer)) {}

bool Validation::due() const {
    auto const& progress = run_.progress;
    return progress.evaluated_step != progress.step &&
           (progress.step >= run_.inputs.steps || (run_.inputs.validation && run_.due_to_pause()) ||
            (run_.inputs.validation && run_.due(run_.config.evaluation.every,
                                                run_.inputs.train->size() / run_.shape.samples)));
}

bool Validation::evaluate(run::Control& control) {
    cluster::enter_phase("evaluation");
    auto& progress = run_.progress;
    auto const start = std::chrono::steady_clock::now();
    evaluation::Outcome outcome = evaluator_.outcome(*run_.inputs.validation);
    outcome.completions = completions_.make();
    last_ = evaluation::summarize(outcome);
    bool const allowed = follow_general();
    double const seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    control.evaluation_took(seconds);
    auto event = nlohmann::ordered_json{{"kind", "evaluation"},
                                        {"step", progress.step},
                                        {"split", run_.config.data.validation},
                                        {"seconds", seconds}};
    event.update(last_->to_json());
    reports_.write(event);
    progress.evaluated_step = progress.step;
    bool const better = take_value(allowed);
    follow_overfitting(outcome);
    return better;
}

bool Validation::take_value(bool allowed) {
    auto& progress = run_.progress;
    evaluation::Metric const& metric =
        evaluation::metric_named(run_.config.evaluation.metric,
                                 tasks::task_of(run_.inputs.validation->task().kind).findings(),
                                 "evaluation.metric", run_.config.evaluation.generate > 0);
    double const value = last_->value(metric.name);
    // A checkpoint holds the best value as JSON, which has no infinite number.
    bool const better =
        allowed && std::isfinite(value) &&
        (progress.best_step < 0 || evaluation::is_better(metric, value, progress.best));
    reports_.say(fmt::format("step {}: validation {}{}", progress.step, last_->text(metric.name),
                             better ? fmt::format("  (best {} so far)", metric.name) : ""));
    reports_.sources();
    progress.evaluations_without_improvement =
        better ? 0 : progress.evaluations_without_improvement + 1;
    if (better) {
        progress.best = value;
        progress.best_step = progress.step;
    }
    return better;
}

double Validation::general_loss() {
    cluster::enter_phase("forgetting");
    double const loss = evaluator_.evaluate(*run_.inputs.general).value("loss");
    if (!std::isfinite(loss))
        throw cluster::JobError(
            fmt::format("step {}: the loss on general text, {}, is not finite ({})",
                        run_.progress.step, loss, run_.config.guard.general_data));
    reports_.write({{"kind", "general"}, {"step", run_.progress.step}, {"loss", loss}});
    return loss;
}

void Validation::measure_general() {
    auto& general = run_.progress.general;
    if (!run_.inputs.general || general.data == run_.inputs.general->fingerprint()) return;
    double const loss = general_loss();
    general = {run_.inputs.general->fingerprint(), loss, loss};
    reports_.say(fmt::format("general text: loss {:.4f} before training", loss));
}

void Validation::check_general() const {
    auto const& general = run_.progress.general;
    if (run_.inputs.general && general.data != run_.inputs.general->fingerprint())
        throw cluster::InputError(fmt::format(
            "guard.general_data: {}: the run in {} began without this text, whose loss before "
            "training is not known; legal: {}, or another `run`",
            run_.config.guard.general_data, run_.config.run,
            general.data.empty() ? "empty" : "the text that it began with"));
}

bool Validation::follow_general() {
    if (!run_.inputs.general) return true;
    auto& general = run_.progress.general;
    general.last = general_loss();
    reports_.say(fmt::format("step {}: general text: loss {:.4f}, {:+.4f} since before training",
                             run_.progress.step, general.last, general.forgotten()));
    double const most = run_.config.guard.max_forgetting;
    return most == 0 || general.forgotten() <= most;
}

void Validation::follow_overfitting(evaluation::Outcome const& outcome) {
    auto& gap = run_.progress.gap;
    auto const asked = run_.config.guard.overfitting;
    bool const told = gap.overfits;
    if (asked == run::Overfitting::off ||
        !evaluation::follow_gap(gap, run_.progress.step,
                                evaluation::losses_to_compare(outcome.samples)) ||
        told)
        return;
    reports_.write({{"kind", "overfitting"},
                    {"step", run_.progress.step},
                    {"lowest_step", gap.lowest_step},
                    {"lowest", gap.lowest},
                    {"loss", gap.last}});
    if (asked == run::Overfitting::warn)
        reports_.say(fmt::format("warning: the run {}; guard.overfitting: stop ends such a run",
                                 evaluation::overfitting_text(gap)));
}

} // namespace trireme::framework::train
