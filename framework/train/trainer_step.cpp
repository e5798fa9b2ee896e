// One step of the trainer, and what is read of it afterwards.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "cluster/counted.hpp"
#include "cluster/error.hpp"
#include "cluster/fault.hpp"
#include "cluster/flight_record.hpp"
#include "cluster/host_memory.hpp"
#include "framework/optimizer/schedule.hpp"
#include "framework/train/trainer.hpp"
#include "framework/train/value_faults.hpp"

namespace trireme::framework::train {

namespace {

/// Samples that may be what is wrong with a step.
std::vector<std::int64_t> suspects(data::StepPlan const& plan, std::vector<double> const& losses) {
    bool const known =
        std::ranges::any_of(losses, [](double loss) { return !std::isfinite(loss); });
    std::vector<std::int64_t> ids;
    for (std::size_t s = 0; s < losses.size(); ++s)
        if (!known || !std::isfinite(losses[s]))
            ids.insert(ids.end(), plan.micro_batches[s].begin(), plan.micro_batches[s].end());
    return ids;
}

} // namespace

void Trainer::train_step() {
    QueuedStep step{{}, {}, std::chrono::steady_clock::now()};
    cluster::enter_step(progress_.step);
    cluster::enter_phase("step/data");
    cluster::fault_point("step/slow");
    clock_.enter(run::Phase::load);
    // 1. The next samples of the order, cut into micro-batches: the same plan on every rank.
    auto [plan, passes] = batches_.take({progress_.step, progress_.cursor});
    auto const micro_batches = static_cast<std::int64_t>(plan.micro_batches.size());
    if (plan.trained == 0) {
        batches_.done();
        if (settle() == run::Decision::rollback) return;
        throw cluster::JobError(
            fmt::format("step {}: none of its samples has a label that is trained: texts of one "
                        "token, or completions that were cut away; prepare the data with a larger "
                        "--max-length, or raise batch.global",
                        progress_.step));
    }
    // 2. This rank's micro-batches.
    model_.load(std::move(passes));
    cluster::enter_phase("step/forward and backward");
    clock_.enter(run::Phase::compute);
    // 3. Forward, backward and the sum of gradients over all micro-batches.
    model_.engine().queue(micro_batches);
    batches_.done();
    // a GPU is computing meanwhile
    batches_.read_ahead({progress_.step + 1, progress_.cursor + shape_.samples});
    // 4. Global norm and loss, and what they say about the update. Losses are added in micro-batch
    // order, as by one process.
    clock_.enter(run::Phase::norm);
    at::Tensor const own_losses = model_.engine().losses();
    strike_values(model_.store(), own_losses);
    at::Tensor const norm = gradient_norm_.compute();
    at::Tensor const losses = step::gather_losses(own_losses, micro_batches, mesh_);
    at::Tensor const loss = optimizer::ordered_sum(losses);
    if (settle() == run::Decision::rollback) return;
    at::Tensor const scale = step::update_scale(loss, norm, config_.optimizer.clip,
                                                run::highest_loss(config_.guard, progress_));
    step.report = {.step = progress_.step,
                   .cursor = progress_.cursor,
                   .learning_rate =
                       optimizer::learning_rate(config_.optimizer, progress_.step, inputs_.steps),
                   .tokens = plan.tokens};
    step.plan = std::move(plan);
    cluster::enter_phase("step/update");
    clock_.enter(run::Phase::update);
    // 5. Update of master weights and moments, if the step is good, then of the compute copy.
    optimizer_.step(step.report.learning_rate, scale, progress_.updates());
    model_.refresh();
    results_.send(loss, norm, losses);
    queued_ = std::move(step);
    // 6. On to the next samples.
    go_on();
}

void Trainer::go_on() {
    clock_.leave();
    progress_.step += 1;
    progress_.cursor += shape_.samples;
}

run::Decision Trainer::settle() {
    if (!queued_) return run::Decision::good;
    auto const [queued, plan, start] = *std::exchange(queued_, std::nullopt);
    auto const found = results_.read();
    auto const now = std::chrono::steady_clock::now();
    double const seconds =
        std::chrono::duration<double>(now - std::max(start, std::exchange(settled_, now))).count();
    StepReport step = queued;
    step.loss = found.loss;
    step.gradient_norm = found.gradient_norm;
    step.finding = run::judge_step(config_.guard, progress_, step.loss, step.gradient_norm);
    if (step.finding.verdict != run::Decision::good) {
        step.sample_ids = suspects(plan, found.losses);
        treat(step);
        return step.finding.verdict;
    }
    run::note_good_step(progress_, step.loss);
    checkpoints_.note_loss(step.step + 1, step.loss);
    report(step, seconds);
    return run::Decision::good;
}

void Trainer::report(StepReport const& step, double seconds) {
    double const tokens_per_second = static_cast<double>(step.tokens) / seconds;
    pace_.add(step.tokens, shape_.samples, seconds);
    std::int64_t const memory = cluster::peak_memory();
    double const epoch = static_cast<double>(step.cursor + shape_.samples) /
                         static_cast<double>(inputs_.train->size());
    log_.write({{"kind", "train"},
                {"step", step.step + 1},
                {"epoch", epoch},
                {"loss", step.loss},
                {"learning_rate", step.learning_rate},
                {"gradient_norm", step.gradient_norm},
                {"samples", shape_.samples},
                {"tokens", step.tokens},
                {"seconds", seconds},
                {"tokens_per_second", tokens_per_second},
                {"mean_tokens_per_second", pace_.tokens_per_second()},
                {"mean_samples_per_second", pace_.samples_per_second()},
                {"peak_memory", memory}});
    log_.progress(step.step + 1, inputs_.steps,
                  fmt::format("epoch {:.2f}  loss {:.4f}  norm {:.2f}  {:.0f} tokens/s  {:.2f} GB",
                              epoch, cluster::unsigned_nan(step.loss),
                              cluster::unsigned_nan(step.gradient_norm), pace_.tokens_per_second(),
                              static_cast<double>(memory) * 1e-9));
}

} // namespace trireme::framework::train
