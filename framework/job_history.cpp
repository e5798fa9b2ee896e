#include "framework/job_history.hpp"

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "cluster/file.hpp"

namespace trireme::framework {

namespace {

constexpr std::size_t kRecent = 10;

double longest(std::vector<double> const& seconds) {
    auto const recent = std::min(seconds.size(), kRecent);
    return recent ? *std::max_element(seconds.end() - static_cast<std::ptrdiff_t>(recent), seconds.end()) : 0;
}

} // namespace

double JobHistory::node_hours() const {
    double sum = 0;
    for (auto const& job : jobs) sum += job.nodes * (job.last - job.start) / 3600;
    return sum;
}

int JobHistory::stuck_at(std::int64_t step) const {
    auto const other = std::find_if(jobs.rbegin(), jobs.rend(), [&](PastJob const& j) { return j.first_step != step; });
    return static_cast<int>(other - jobs.rbegin());
}

JobHistory read_job_history(std::string const& run) {
    JobHistory history;
    std::vector<double> saves, evaluations;
    std::string const path = run + "/metrics.jsonl";
    if (cluster::is_there(path)) cluster::readable_size(path); // what cannot be read is not an empty history
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) {
        auto const event = nlohmann::json::parse(line, nullptr, false);
        if (!event.is_object() || !event.contains("kind") || !event.contains("time")) continue;
        double const time = event.at("time");
        std::string const kind = event.at("kind");
        if (kind == "job") history.jobs.push_back({time, time, event.at("nodes"), event.at("step")});
        if (kind == "checkpoint") saves.push_back(event.at("seconds"));
        if (kind == "evaluation" && event.contains("seconds")) evaluations.push_back(event.at("seconds"));
        if (history.jobs.empty()) continue;
        history.jobs.back().last = time;
        if (kind == "end" && event.value("exit_code", 1) == 0)
            history.jobs.back().first_step = -1; // not stuck at a step
    }
    history.longest_save = longest(saves);
    history.longest_evaluation = longest(evaluations);
    return history;
}

} // namespace trireme::framework
