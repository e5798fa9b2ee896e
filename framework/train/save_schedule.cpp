#include "framework/train/save_schedule.hpp"

#include <fmt/format.h>

#include "cluster/error.hpp"
#include "cluster/flight_record.hpp"
#include "framework/train/replica_check.hpp"

namespace trireme::framework::train {

SaveSchedule::SaveSchedule(RunContext& run, parallelize::ParallelModel& model,
                           run::Lock const& lock, run::Control& control, Reports& reports)
    : run_(run), model_(model), lock_(lock), control_(control), reports_(reports),
      checkpoints_(run.config, run.inputs.train->fingerprint(), model.store(), run.mesh.world()) {}

bool SaveSchedule::resume(std::function<void(std::string const&)> const& say) {
    auto const found = checkpoints_.resume(say);
    if (found) run_.progress = *found;
    return found.has_value();
}

void SaveSchedule::save(char const* why) {
    cluster::enter_phase("checkpoint");
    lock_.check_held(run_.mesh.world());
    compare_replicas();
    checkpoints_.save(run_.progress, why);
    control_.save_began();
    follow();
}

void SaveSchedule::follow() {
    while (auto const ended = checkpoints_.poll()) {
        control_.save_took(ended->seconds);
        if (!ended->note.empty()) reports_.say(ended->note);
        nlohmann::ordered_json event{
            {"kind", ended->error.empty() ? "checkpoint" : "checkpoint failed"},
            {"step", ended->step},
            {"why", ended->why},
            {"seconds", ended->seconds},
            {"stalled", ended->stalled}};
        if (!ended->error.empty()) {
            event["error"] = ended->error;
            reports_.say(
                fmt::format("checkpoint of step {} not saved: {}", ended->step, ended->error));
        }
        reports_.write(event);
    }
}

void SaveSchedule::finish() {
    try {
        checkpoints_.finish();
    } catch (...) {
        follow();
        throw;
    }
    follow();
}

void SaveSchedule::settle() {
    try {
        finish();
    } catch (cluster::JobError const&) {
        // Said by finish; an older checkpoint is there, and something else has gone wrong.
    }
}

void SaveSchedule::compare_replicas() {
    if (run_.config.guard.compare_replicas == 0) return;
    if (std::string const odd = find_odd_replica(model_); !odd.empty()) {
        settle();
        throw cluster::JobError(fmt::format(
            "after step {}: {}: a bit flipped in memory, or ranks computed different "
            "things; nothing was saved since; run again to go on from the last checkpoint",
            run_.progress.step, odd));
    }
}

} // namespace trireme::framework::train
