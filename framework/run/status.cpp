#include "framework/run/status.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <fstream>
#include <iterator>
#include <set>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "cluster/host.hpp"
#include "cluster/listing.hpp"
#include "cluster/report.hpp"
#include "framework/log/event_lines.hpp"
#include "framework/run/checkpoint_names.hpp"

namespace trireme::framework::run {

namespace {

using nlohmann::ordered_json;

/// seconds without a sign of life after which a rank of another host counts as gone
constexpr double kQuiet = 10;
constexpr std::size_t kPaceSteps = 50; ///< steps that the pace is taken from

double seconds_since_epoch() {
    return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch())
        .count();
}
double seconds(std::int64_t nanoseconds) {
    return static_cast<double>(nanoseconds) * 1e-9;
}

struct Step {
    std::size_t job;
    std::int64_t step;
    double seconds, time;
};

struct Events {
    Status status;
    std::vector<Step> steps;
};

constexpr std::int64_t kMostRanks = 1 << 24, kMostRestarts = 1 << 30;
constexpr double kMostNumber = 1e300; ///< whose products with seconds and steps are finite

JobStatus job_of(log::EventLine const& event) {
    JobStatus job;
    job.start = event.time();
    job.first_step = job.last_step = job.kept_step = event.steps("step");
    job.ranks = event.whole("ranks", 0, kMostRanks),
    job.nodes = event.whole("nodes", 0, kMostRanks);
    job.restarts = event.whole("restarts", 0, kMostRestarts);
    job.host = event.text("host"), job.layout = event.text("layout"),
    job.job_id = event.text("job_id");
    return job;
}

void take_train_event(Events& all, log::EventLine const& event) {
    Status& status = all.status;
    status.step = status.jobs.back().last_step = event.steps("step");
    status.loss.reset();
    if (event.has("loss")) status.loss = event.number("loss", -kMostNumber, kMostNumber);
    if (event.has("mean_tokens_per_second")) { // not written by older versions
        status.tokens_per_second = event.number("mean_tokens_per_second", 0, kMostNumber);
        status.samples_per_second = event.number("mean_samples_per_second", 0, kMostNumber);
        status.peak_memory = event.number("peak_memory", 0, kMostNumber);
    }
    all.steps.push_back({status.jobs.size() - 1, status.step, event.seconds(), event.time()});
}

void take_evaluation(Status& status, log::EventLine const& event) {
    event.steps("step");
    status.evaluation = event.json();
    for (char const* name : {"loss", "accuracy", "f1"})
        event.number(name, -kMostNumber, kMostNumber);
    for (auto const& [name, value] : metrics_of(status.evaluation))
        event.number(name.c_str(), -kMostNumber, kMostNumber);
}

void take_job(Status& status, log::EventLine const& event) {
    status.jobs.push_back(job_of(event));
    status.step = event.steps("step");
    status.why.clear();
    if (auto const total = event.steps("total_steps")) status.total_steps = total;
}

void take_event(Events& all, log::EventLine const& event) {
    Status& status = all.status;
    std::string const& kind = event.kind();
    if (kind == "job") take_job(status, event);
    if (status.jobs.empty()) status.jobs.emplace_back(); // a file without its first line
    JobStatus& job = status.jobs.back();
    job.last = std::max(job.last, event.time());
    if (kind == "train") {
        take_train_event(all, event);
    } else if (kind == "evaluation") {
        take_evaluation(status, event);
    } else if (kind == "end") {
        job.exit_code =
            static_cast<int>(event.whole("exit_code", 0, log::EventLine::kMostExitCode));
        status.why = event.text("why");
    }
}

/// Steps that a later job did again do not count.
void count_kept_steps(Events& all) {
    auto& jobs = all.status.jobs;
    std::int64_t limit = INT64_MAX;
    for (auto job = jobs.rbegin(); job != jobs.rend(); ++job) {
        job->kept_step = std::max(job->first_step, std::min(job->last_step, limit));
        limit = std::min(limit, job->first_step);
    }
    double total = 0, kept = 0;
    for (auto const& s : all.steps)
        if (s.step <= jobs[s.job].kept_step) jobs[s.job].seconds_in_kept_steps += s.seconds;
    for (auto const& job : jobs) {
        total += job.last - job.start;
        kept += job.seconds_in_kept_steps;
    }
    all.status.goodput = total > 0 ? std::min(1.0, kept / total) : 0;
}

void estimate_time_left(Events& all) {
    Status& status = all.status;
    std::vector<Step> const& steps = all.steps;
    if (steps.empty() || status.total_steps == 0) return;
    std::size_t first = steps.size() - 1;
    while (first > 0 && steps.size() - first < kPaceSteps &&
           steps[first - 1].job == steps.back().job)
        --first;
    if (first + 1 >= steps.size()) return;
    // By the clock, so that evaluations and saves count.
    double const each =
        (steps.back().time - steps[first].time) / static_cast<double>(steps.size() - 1 - first);
    status.seconds_left =
        each * static_cast<double>(std::max<std::int64_t>(0, status.total_steps - status.step));
}

/// State letter of a process of this host as the kernel says it; 0: there is none.
char process_state(std::int64_t process) {
    std::ifstream file(fmt::format("/proc/{}/stat", process));
    std::string const line((std::istreambuf_iterator<char>(file)), {});
    auto const end = line.rfind(')'); // of the name, which may hold anything
    return end == std::string::npos || end + 2 >= line.size() ? '\0' : line[end + 2];
}

bool lives(cluster::FlightHeader const& h) {
    bool const beats = seconds_since_epoch() - seconds(h.heartbeat) < kQuiet;
    if (h.end != cluster::FlightEnd::running) return false;
    if (cluster::host_name() != h.host.data()) return beats;
    char const state = process_state(h.process);
    return state == 'T' || (beats && state != 0 && state != 'Z' && state != 'X');
}

std::string state_of(int exit_code) {
    switch (exit_code) {
    case cluster::kDone: return "done";
    case cluster::kSavedToContinue: return "to be continued";
    case cluster::kHalted: return "halted";
    default: return "failed";
    }
}

void add_unlogged_job(Status& status, cluster::FlightHeader const& first) {
    // A job that died before its first event left its records alone.
    if (status.jobs.empty() || seconds(first.job) > status.jobs.back().last) {
        JobStatus& job = status.jobs.emplace_back();
        job.start = job.last = seconds(first.started);
        job.host = first.host.data();
        job.ranks = first.size;
        job.first_step = job.last_step = job.kept_step = status.step;
    }
}

/// Takes from the records of the last job's ranks when it was alive last, and how it ended. Returns
/// the records by rank.
cluster::Flights take_flights(Status& status, std::vector<cluster::Flight> const& found) {
    JobStatus& job = status.jobs.back();
    cluster::Flights flights(static_cast<std::size_t>(std::max(0, found.front().header.size)));
    for (auto const& f : found) {
        if (f.header.rank < 0 || f.header.rank >= static_cast<int>(flights.size())) continue;
        flights[static_cast<std::size_t>(f.header.rank)] = f;
        job.last = std::max(job.last, seconds(f.header.heartbeat));
        if (lives(f.header)) status.state = "running";
        if (f.header.end == cluster::FlightEnd::failed) job.exit_code = f.header.exit_code;
    }
    return flights;
}

/// Adds what the records of the last job's ranks say: whether it runs, and who ended it.
void judge_flights(Status& status, std::string const& run) {
    std::vector<cluster::Flight> const found = cluster::read_flights(run);
    if (found.empty()) return;
    add_unlogged_job(status, found.front().header);
    if (status.jobs.back().exit_code) return;
    auto const flights = take_flights(status, found);
    if (status.state == "running") return;
    if (auto const verdict = cluster::find_death(flights)) {
        status.guilty = verdict->guilty;
        status.why = verdict->line;
        if (auto const code = status.jobs.back().exit_code) status.state = state_of(*code);
    }
    if (auto const said = cluster::read_verdict(run)) { // by the watch, which saw more than is left
        status.guilty = said->guilty;
        status.why = said->line;
        status.state = "failed";
    }
}

} // namespace

std::vector<std::pair<std::string, double>> metrics_of(nlohmann::ordered_json const& evaluation) {
    static std::set<std::string> const kOther{"time", "step", "seconds", "samples"};
    std::vector<std::pair<std::string, double>> metrics;
    if (evaluation.is_object())
        for (auto const& [name, value] : evaluation.items())
            if (value.is_number() && !kOther.contains(name))
                metrics.emplace_back(name, value.get<double>());
    return metrics;
}

Status read_status(std::string const& run) {
    if (!cluster::is_there(run + "/metrics.jsonl") && !cluster::is_there(run + "/flight"))
        throw cluster::InputError(
            run + ": holds no metrics.jsonl; legal: the folder of a run that was started");
    Events all;
    log::read_events(run, [&](log::EventLine const& event) { take_event(all, event); });
    Status& status = all.status;
    if (!status.jobs.empty() && status.jobs.back().exit_code)
        status.state = state_of(*status.jobs.back().exit_code);
    count_kept_steps(all);
    judge_flights(status, run);
    if (status.state.empty())
        status.state = status.jobs.empty() ? "not started" : "ended without a word";
    if (status.state == "running" || status.state == "to be continued") estimate_time_left(all);
    status.checkpoints = list_checkpoints(run + "/checkpoints");
    return status;
}

static ordered_json json_of(JobStatus const& j) {
    return {{"start", j.start},
            {"last", j.last},
            {"host", j.host},
            {"nodes", j.nodes},
            {"ranks", j.ranks},
            {"layout", j.layout},
            {"job_id", j.job_id},
            {"restarts", j.restarts},
            {"first_step", j.first_step},
            {"last_step", j.last_step},
            {"kept_step", j.kept_step},
            {"exit_code", j.exit_code ? ordered_json(*j.exit_code) : ordered_json()}};
}

static ordered_json or_null(auto const& value) {
    return value ? ordered_json(*value) : ordered_json();
}

ordered_json Status::to_json() const {
    ordered_json list = ordered_json::array();
    for (auto const& j : jobs) list.push_back(json_of(j));
    return {{"state", state},
            {"why", why},
            {"guilty", guilty},
            {"step", step},
            {"total_steps", total_steps},
            {"loss", or_null(loss)},
            {"evaluation", evaluation},
            {"checkpoints", checkpoints},
            {"jobs", list},
            {"goodput", goodput},
            {"seconds_left", or_null(seconds_left)},
            {"tokens_per_second", or_null(tokens_per_second)},
            {"samples_per_second", or_null(samples_per_second)},
            {"peak_memory", or_null(peak_memory)}};
}

} // namespace trireme::framework::run
