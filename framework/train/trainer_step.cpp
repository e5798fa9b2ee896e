// One step of the trainer.
#include <fmt/format.h>

#include <utility>

#include "cluster/error.hpp"
#include "cluster/fault.hpp"
#include "cluster/flight_record.hpp"
#include "framework/evaluation/gather_findings.hpp"
#include "framework/optimizer/schedule.hpp"
#include "framework/train/trainer.hpp"
#include "framework/train/value_faults.hpp"

namespace trireme::framework::train {

void Trainer::train_step() {
    auto const start = std::chrono::steady_clock::now();
    auto const& config = run_.config;
    std::int64_t const step = run_.progress.step, cursor = run_.progress.cursor;
    cluster::enter_step(step);
    auto const timed = reports_.time_step(!ledger_.reads_late());
    // 1. The next samples of the order, cut into micro-batches: the same plan on every rank.
    reports_.enter(run::Phase::load);
    cluster::fault_point("step/slow");
    auto [plan, passes] = batches_.take({step, cursor});
    if (plan.trained == 0) return refuse_step();
    // 2. This rank's micro-batches.
    model_.load(std::move(passes));
    // 3. Forward, backward and the sum of gradients over all micro-batches. While a GPU computes,
    // the next are read.
    reports_.enter(run::Phase::compute);
    model_.queue(std::ssize(plan.micro_batches));
    parallel::tell_place({"data"});
    batches_.done();
    batches_.read_ahead({step + 1, cursor + run_.shape.samples});
    // 4. Global norm and loss, and what they say about the update. Losses are added in micro-batch
    // order, as by one process.
    reports_.enter(run::Phase::norm);
    at::Tensor const own_losses = model_.engine().losses();
    strike_values(model_.store(), own_losses);
    at::Tensor const norm = gradient_norm_.compute();
    at::Tensor const losses =
        step::gather_losses(own_losses, std::ssize(plan.micro_batches), run_.mesh);
    at::Tensor const loss = optimizer::ordered_sum(losses);
    if (ledger_.settle() == run::Decision::rollback) return;
    at::Tensor const scale = step::update_scale(loss, norm, config.optimizer.clip,
                                                run::highest_loss(config.guard, run_.progress));
    // 5. Update of master weights and moments, if the step is good, then of the compute copy.
    reports_.enter(run::Phase::update);
    double const rate = optimizer::learning_rate(config.optimizer, step, run_.inputs.steps);
    optimizer_.step(rate, scale, run_.progress.updates());
    model_.refresh();
    // 6. On to the next samples; what this step found is read later.
    StepReport report{.step = step,
                      .cursor = cursor,
                      .learning_rate = rate,
                      .counts = {plan.tokens, plan.trained, run_.shape.samples}};
    ledger_.queue({std::move(report), std::move(plan), start, findings()}, loss, norm, losses);
    go_on();
}

std::vector<run::SampleFinding> Trainer::findings() {
    std::vector<run::SampleFinding> found;
    if (!run_.config.train.dynamics) return found;
    auto const& weights = run_.inputs.model.class_weights;
    for (auto const& one :
         evaluation::of_all(run_.mesh, model_.results().samples, "step/dynamics")) {
        auto const label = static_cast<std::size_t>(one.label);
        double const weight = label < weights.size() ? weights[label] : 1.0;
        found.push_back({.step = run_.progress.step + 1,
                         .sample = one.sample % run_.inputs.train->size(),
                         .loss = weight > 0 ? one.loss / weight : one.loss,
                         .trained = static_cast<std::int32_t>(one.trained),
                         .correct = static_cast<std::int32_t>(one.correct)});
    }
    return found;
}

void Trainer::refuse_step() {
    batches_.done();
    if (ledger_.settle() == run::Decision::rollback) return;
    throw cluster::JobError(
        fmt::format("step {}: none of its samples has a label that is trained: texts of one "
                    "token, or completions that were cut away; prepare the data with a larger "
                    "--max-length, or raise batch.global",
                    run_.progress.step));
}

void Trainer::go_on() {
    reports_.leave();
    run_.progress.step += 1;
    run_.progress.cursor += run_.shape.samples;
}

} // namespace trireme::framework::train
