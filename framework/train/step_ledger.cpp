#include "framework/train/step_ledger.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "cluster/error.hpp"

namespace trireme::framework::train {

namespace {

/// Samples that may be what is wrong with a step.
std::vector<std::int64_t> suspects(data::StepPlan const& plan, std::vector<double> const& losses,
                                   std::int64_t samples) {
    bool const known =
        std::ranges::any_of(losses, [](double loss) { return !std::isfinite(loss); });
    std::vector<std::int64_t> ids;
    for (std::size_t s = 0; s < losses.size(); ++s)
        if (!known || !std::isfinite(losses[s]))
            for (auto const id : plan.micro_batches[s]) ids.push_back(id % samples);
    return ids;
}

/// How a run that a bad step has ended can go on: `guard` may change between its jobs, the rate may
/// not.
std::string way_on(run::GuardSection const& guard) {
    return std::string(
               guard.non_finite == run::NonFinite::stop
                   ? "; run again with guard.non_finite: skip or rollback to leave such steps out"
                   : "; run again with a larger guard.most_skips to leave out more of them") +
           ", or begin another run with a lower optimizer.learning_rate";
}

} // namespace

StepLedger::StepLedger(RunContext& run, parallelize::ParallelModel& model, SaveSchedule& saves,
                       Reports& reports, run::DynamicsLog& dynamics, at::Device device)
    : run_(run), model_(model), saves_(saves), reports_(reports), dynamics_(dynamics),
      results_(device, run.shape.samples, deadline_of(run.config)) {}

void StepLedger::queue(QueuedStep step, at::Tensor const& loss, at::Tensor const& norm,
                       at::Tensor const& losses) {
    results_.send(loss, norm, losses);
    queued_ = std::move(step);
}

run::Decision StepLedger::settle() {
    if (!queued_) return run::Decision::good;
    auto [queued, plan, start, findings] = *std::exchange(queued_, std::nullopt);
    auto const found = results_.read();
    auto const now = std::chrono::steady_clock::now();
    double const seconds =
        std::chrono::duration<double>(now - std::max(start, std::exchange(settled_, now))).count();
    StepReport step = queued;
    step.loss = found.loss;
    step.gradient_norm = found.gradient_norm;
    step.finding = run::judge_step(run_.config.guard, run_.progress, step.loss, step.gradient_norm);
    if (step.finding.verdict != run::Decision::good) {
        step.sample_ids = suspects(plan, found.losses, run_.inputs.train->size());
        leave_out(step);
        return step.finding.verdict;
    }
    run::note_good_step(run_.progress, step.loss);
    if (run_.inputs.mixture) count_sources(plan);
    saves_.note_loss(step.step + 1, step.loss);
    reports_.step(step, seconds);
    dynamics_.append(std::move(findings));
    return run::Decision::good;
}

void StepLedger::count_sources(data::StepPlan const& plan) {
    auto& progress = run_.progress;
    data::Mixture const& mixture = *run_.inputs.mixture;
    progress.source_samples.resize(mixture.count(), 0);
    progress.source_tokens.resize(mixture.count(), 0);
    for (auto const& micro_batch : plan.micro_batches)
        for (auto const id : micro_batch) {
            progress.source_samples[mixture.source_of(id)] += 1;
            progress.source_tokens[mixture.source_of(id)] += run_.inputs.train->length(id);
        }
}

void StepLedger::leave_out(StepReport const& step) {
    run::Decision const verdict = step.finding.verdict;
    reports_.bad_step(step);
    std::string const what = fmt::format(
        "step {}: {}; no update was made; its samples are in metrics.jsonl (kind \"bad step\"){}",
        step.step, step.finding.what,
        verdict == run::Decision::stop ? way_on(run_.config.guard) : "");
    if (verdict != run::Decision::leave_out) saves_.settle();
    if (verdict == run::Decision::stop) throw cluster::JobError(what);
    reports_.say(what);
    run_.progress.left_out.push_back(step.cursor);
    if (verdict == run::Decision::rollback) roll_back(step.step);
}

void StepLedger::roll_back(std::int64_t from) {
    auto& progress = run_.progress;
    auto const left_out = progress.left_out;
    if (!saves_.resume([this](std::string const& line) { reports_.say(line); }))
        throw cluster::JobError(fmt::format(
            "step {}: there is no checkpoint to go back to (guard.non_finite: rollback); "
            "set checkpoint.every",
            from));
    progress.left_out = left_out;
    dynamics_.cut(progress.step);
    reports_.back_to(progress.step);
    progress.finished = false; // it may have been, before the run was given more epochs
    model_.refresh();
    reports_.write({{"kind", "rollback"}, {"step", progress.step}, {"from", from}});
    reports_.say(fmt::format("back at step {}: the samples of step {} will be left out",
                             progress.step, from));
}

} // namespace trireme::framework::train
