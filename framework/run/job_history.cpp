#include "framework/run/job_history.hpp"

#include <algorithm>

#include "framework/log/event_lines.hpp"

namespace trireme::framework::run {

namespace {

constexpr std::size_t kRecent = 10;
constexpr std::int64_t kMostNodes = 1 << 20;

double longest(std::vector<double> const& seconds) {
    auto const recent = std::min(seconds.size(), kRecent);
    return recent ? *std::max_element(seconds.end() - static_cast<std::ptrdiff_t>(recent),
                                      seconds.end())
                  : 0;
}

} // namespace

void KeptSteps::back_to(std::int64_t step) {
    while (!sums_.empty() && sums_.back().first > step) sums_.pop_back();
}

void KeptSteps::add(std::int64_t step, double seconds) {
    back_to(step - 1);
    sums_.emplace_back(step, this->seconds() + seconds);
}

double JobHistory::seconds() const {
    double sum = 0;
    for (auto const& job : jobs) sum += job.last - job.start;
    return sum;
}

double JobHistory::node_hours() const {
    double sum = 0;
    for (auto const& job : jobs) sum += job.nodes * (job.last - job.start) / 3600;
    return sum;
}

int JobHistory::stuck_at(std::int64_t step) const {
    auto const other = std::find_if(jobs.rbegin(), jobs.rend(),
                                    [&](PastJob const& j) { return j.first_step != step; });
    return static_cast<int>(other - jobs.rbegin());
}

static PastJob past_job_of(log::EventLine const& event) {
    double const time = event.time();
    auto const nodes = static_cast<int>(event.whole("nodes", 1, kMostNodes, 1));
    return {time, time, nodes, event.steps("step")};
}

JobHistory read_job_history(std::string const& run) {
    JobHistory history;
    std::vector<double> saves, evaluations;
    log::read_events(run, [&](log::EventLine const& event) {
        double const time = event.time();
        std::string const& kind = event.kind();
        if (kind == "job") history.jobs.push_back(past_job_of(event));
        if (kind == "job" || kind == "rollback") history.kept.back_to(event.steps("step"));
        if (kind == "train") history.kept.add(event.steps("step"), event.seconds());
        if (kind == "checkpoint") saves.push_back(event.seconds());
        if (kind == "evaluation" && event.has("seconds")) evaluations.push_back(event.seconds());
        if (history.jobs.empty()) return;
        history.jobs.back().last = time;
        if (kind == "end" && event.whole("exit_code", 0, log::EventLine::kMostExitCode, 1) == 0)
            history.jobs.back().first_step = -1; // not stuck at a step
    });
    history.longest_save = longest(saves);
    history.longest_evaluation = longest(evaluations);
    return history;
}

} // namespace trireme::framework::run
