#include "framework/run/control.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "cluster/error.hpp"
#include "cluster/gather.hpp"
#include "framework/run/stop_signal.hpp"

namespace trireme::framework::run {

namespace fs = std::filesystem;

namespace {

/// Speed assumed of a disk that nothing is known about; shared file systems give a job at least
/// that.
constexpr double kBytesPerSecond = 100e6;

double seconds_between(std::chrono::system_clock::time_point from,
                       std::chrono::system_clock::time_point to) {
    return std::chrono::duration<double>(to - from).count();
}

bool there(std::string const& path) {
    std::error_code failed;
    return fs::exists(path, failed);
}

} // namespace

int Orders::exit_code() const {
    switch (stop) {
    case StopReason::none: return cluster::kDone;
    case StopReason::step:
    case StopReason::signal:
    case StopReason::end_of_job: return cluster::kSavedToContinue;
    case StopReason::budget:
    case StopReason::file: return cluster::kHalted;
    }
    return cluster::kFailed;
}

char const* Orders::reason() const {
    switch (stop) {
    case StopReason::none: return "not asked to stop";
    case StopReason::step: return "job.until_step is reached";
    case StopReason::signal: return "asked to stop by a signal";
    case StopReason::end_of_job: return "the job's time is over";
    case StopReason::budget: return "the budget job.node_hours is spent";
    case StopReason::file: return "asked to stop by the file STOP";
    }
    return "";
}

Control::Control(Rules rules, JobLimits limits, JobHistory const& history,
                 std::int64_t bytes_to_save, cluster::Communicator& world)
    : rules_(std::move(rules)), limits_(std::move(limits)), history_(history), world_(world),
      evaluation_seconds_(history.longest_evaluation),
      save_seconds_(history.longest_save > 0
                        ? history.longest_save
                        : static_cast<double>(bytes_to_save) / kBytesPerSecond) {
    if (rules_.job.minutes > 0) {
        auto const end = start_ + std::chrono::duration_cast<Clock::duration>(
                                      std::chrono::duration<double>(rules_.job.minutes * 60));
        limits_.end = limits_.end ? std::min(*limits_.end, end) : end;
    }
}

std::optional<std::string> Control::refusal(std::int64_t step) {
    std::string why;
    if (int const stuck = history_.stuck_at(step); there(rules_.run + "/STOP"))
        why = fmt::format("{}/STOP is there; remove it to let the run go on", rules_.run);
    else if (rules_.job.node_hours > 0 &&
             used_node_hours() + limits_.nodes * lead(true) / 3600 >= rules_.job.node_hours)
        why = fmt::format("job.node_hours: {}: the run's jobs have used {:.4g}, and what is left "
                          "is too little for a "
                          "step and a save; raise it to let the run "
                          "go on",
                          rules_.job.node_hours, used_node_hours());
    else if (stuck >= rules_.job.attempts)
        why = fmt::format("no progress: the last {} jobs all started at step {} and got no further "
                          "(job.attempts: {}); "
                          "see {}/log.txt; raise job.attempts to try again",
                          stuck, step, rules_.job.attempts, rules_.run);
    why = cluster::broadcast_bytes(world_, why, 0, "run/refusal");
    return why.empty() ? std::nullopt : std::optional(why);
}

std::string Control::warning() const {
    if (!limits_.end) return "";
    double const left = seconds_between(start_, *limits_.end), need = lead(true);
    if (left > need) return "";
    return fmt::format("warning: the job ends in {:.0f} s, and a save is expected to take {:.0f} "
                       "s{}: too short to stop in "
                       "good order, which wants {:.0f} s; ask for more time",
                       left, save_seconds_,
                       history_.longest_save > 0 ? "" : " (guessed: none was made yet)", need);
}

Orders Control::agree(bool evaluation_next) {
    auto stop = StopSignal::asked() ? StopReason::signal : StopReason::none;
    bool save = false;
    if (world_.rank() == 0) { // one clock and one view of the folder, whatever the others see
        stop = std::max(stop, stop_of_rank_0(evaluation_next));
        save = there(rules_.run + "/SAVE") ||
               (rules_.checkpoint.minutes > 0 &&
                seconds_between(last_save_, Clock::now()) >= rules_.checkpoint.minutes * 60);
    }
    std::array<std::uint8_t, 2> flags{static_cast<std::uint8_t>(stop), save};
    world_
        .all_reduce({flags.data(), flags.size(), cluster::DType::u8}, cluster::ReduceOp::max,
                    "step/orders")
        .wait();
    return {static_cast<StopReason>(flags[0]), flags[1] != 0};
}

StopReason Control::stop_of_rank_0(bool evaluation_next) const {
    if (there(rules_.run + "/STOP")) return StopReason::file;
    double const lead_seconds = lead(evaluation_next);
    if (rules_.job.node_hours > 0 &&
        used_node_hours() + limits_.nodes * lead_seconds / 3600 >= rules_.job.node_hours)
        return StopReason::budget;
    if (limits_.end && seconds_between(Clock::now(), *limits_.end) <= lead_seconds)
        return StopReason::end_of_job;
    return StopReason::none;
}

double Control::used_node_hours() const {
    return history_.node_hours() + limits_.nodes * seconds_between(start_, Clock::now()) / 3600;
}

double Control::lead(bool evaluation_next) const {
    return 2 * (step_seconds_ + save_seconds_) + (evaluation_next ? 1.5 * evaluation_seconds_ : 0);
}

void Control::step_took(double seconds) {
    constexpr double kForget = 0.02; // after some 50 steps a slow first one no longer counts
    step_seconds_ = std::max(seconds, (1 - kForget) * step_seconds_ + kForget * seconds);
}

void Control::evaluation_took(double seconds) {
    evaluation_seconds_ = std::max(seconds, evaluation_seconds_);
}

void Control::save_took(double seconds) {
    save_seconds_ = std::max(seconds, 0.9 * save_seconds_);
}

void Control::save_began() {
    last_save_ = Clock::now();
    std::error_code ignored; // a file that stays asks again, which does no harm
    if (world_.rank() == 0) fs::remove(rules_.run + "/SAVE", ignored);
}

} // namespace trireme::framework::run
