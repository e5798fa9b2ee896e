#include "framework/job_history.hpp"

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

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
    std::ifstream file(run + "/metrics.jsonl");
    for (std::string line; std::getline(file, line);) {
        auto const event = nlohmann::json::parse(line, nullptr, false);
        if (!event.is_object() || !event.contains("kind") || !event.contains("time")) continue;
        double const time = event.at("time");
        std::string const kind = event.at("kind");
        if (kind == "job") history.jobs.push_back({time, time, event.at("nodes"), event.at("step")});
        if (kind == "checkpoint") saves.push_back(event.at("seconds"));
        if (kind == "evaluation" && event.contains("seconds")) evaluations.push_back(event.at("seconds"));
        if (!history.jobs.empty()) history.jobs.back().last = time;
    }
    history.longest_save = longest(saves);
    history.longest_evaluation = longest(evaluations);
    return history;
}

} // namespace trireme::framework
