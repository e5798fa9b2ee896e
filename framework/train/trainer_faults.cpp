// Does what the trainer does about faults, its own and others'.
#include <fmt/format.h>

#include <utility>

#include "cluster/error.hpp"
#include "cluster/flight_record.hpp"
#include "cluster/host.hpp"
#include "framework/train/replica_check.hpp"
#include "framework/train/trainer.hpp"

namespace trireme::framework::train {

void Trainer::announce_job() {
    if (std::string const warning = control_.warning(); !warning.empty()) log_.say(warning);
    auto const& p = config_.parallel;
    log_.write({{"kind", "job"},
                {"step", progress_.step},
                {"total_steps", inputs_.steps},
                {"host", cluster::host_name()},
                {"nodes", limits_.nodes},
                {"ranks", mesh_.world().size()},
                {"layout", mesh_.shape().equation()},
                {"zero", p.zero},
                {"schedule", name_of(p.schedule)},
                {"job_id", limits_.job_id},
                {"restarts", limits_.restarts}});
}

namespace {

/// How a run that a bad step has ended can go on: `guard` may change between its jobs, the rate may
/// not.
std::string way_on(config::GuardSection const& guard) {
    return std::string(
               guard.non_finite == config::NonFinite::stop
                   ? "; run again with guard.non_finite: skip or rollback to leave such steps out"
                   : "; run again with a larger guard.most_skips to leave out more of them") +
           ", or begin another run with a lower optimizer.learning_rate";
}

} // namespace

void Trainer::treat(StepReport const& step) {
    run::Decision const verdict = step.finding.verdict;
    std::string const policy = verdict == run::Decision::stop       ? "stop"
                               : verdict == run::Decision::rollback ? "rollback"
                                                                    : "skip";
    // JSON has no numbers that are not finite: they are null there, and spelled out in `what`.
    log_.write({{"kind", "bad step"},
                {"step", step.step},
                {"loss", step.loss},
                {"gradient_norm", step.gradient_norm},
                {"what", step.finding.what},
                {"policy", policy},
                {"samples", step.sample_ids}});
    std::string const what = fmt::format(
        "step {}: {}; no update was made; its samples are in metrics.jsonl (kind \"bad step\"){}",
        step.step, step.finding.what, verdict == run::Decision::stop ? way_on(config_.guard) : "");
    if (verdict != run::Decision::leave_out) settle_saves();
    if (verdict == run::Decision::stop) throw cluster::JobError(what);
    log_.say(what);
    progress_.left_out.push_back(step.cursor);
    if (verdict == run::Decision::rollback) roll_back(step.step);
}

void Trainer::roll_back(std::int64_t from) {
    auto const left_out = progress_.left_out;
    auto const found = checkpoints_.resume([this](std::string const& line) { log_.say(line); });
    if (!found)
        throw cluster::JobError(fmt::format(
            "step {}: there is no checkpoint to go back to (guard.non_finite: rollback); "
            "set checkpoint.every",
            from));
    progress_ = *found;
    progress_.left_out = left_out;
    progress_.finished = false; // it may have been, before the run was given more epochs
    model_.refresh();
    log_.write({{"kind", "rollback"}, {"step", progress_.step}, {"from", from}});
    log_.say(fmt::format("back at step {}: the samples of step {} will be left out", progress_.step,
                         from));
}

void Trainer::compare_replicas() {
    if (config_.guard.compare_replicas == 0) return;
    if (std::string const odd = find_odd_replica(model_); !odd.empty()) {
        settle_saves();
        throw cluster::JobError(fmt::format(
            "after step {}: {}: a bit flipped in memory, or ranks computed different "
            "things; nothing was saved since; run again to go on from the last checkpoint",
            progress_.step, odd));
    }
}

void Trainer::rehearse() {
    cluster::enter_phase("sensitivity");
    auto const told = [this] {
        run::Orders const orders = control_.agree(false);
        // it is told again after the next step
        return orders.stop != run::StopReason::none || orders.save;
    };
    auto const found = sensitivity_.measure(progress_, pace_.seconds_per_step(), told);
    if (!found) return;
    log_.write({{"kind", "sensitivity"},
                {"step", found->step},
                {"steps", found->steps},
                {"loss", found->loss},
                {"other_loss", found->other_loss},
                {"parts", found->parts}});
    if (found->parts && !std::exchange(told_sensitive_, true)) log_.say(found->text());
}

void Trainer::settle_saves() {
    try {
        finish_saves();
    } catch (cluster::JobError const&) {
        // Said by finish_saves; an older checkpoint is there, and something else has gone wrong.
    }
}

void Trainer::report_stragglers() {
    run::RankTimes const times = run::gather_times(mesh_.world(), clock_.take());
    nlohmann::ordered_json phases;
    for (std::size_t p = 0; p < run::kPhases; ++p)
        phases[name_of(static_cast<run::Phase>(p))] = {{"slowest", times.slowest_seconds[p]},
                                                       {"median", times.median_seconds[p]}};
    log_.write({{"kind", "ranks"},
                {"step", progress_.step},
                {"slowest", times.slowest},
                {"host", times.host},
                {"ratio", times.ratio},
                {"seconds", phases}});
    if (times.ratio >= run::kStraggles)
        log_.say(fmt::format("rank {}@{} is slow: {:.1f} times the own time of the median of the "
                             "others, most of it in "
                             "phase `{}`",
                             times.slowest, times.host, times.ratio, name_of(times.phase)));
}

} // namespace trireme::framework::train
