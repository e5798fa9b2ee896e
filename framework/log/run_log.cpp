#include "framework/log/run_log.hpp"

#include <fmt/format.h>

#include <chrono>
#include <filesystem>

namespace trireme::framework::log {

namespace {

std::string clock_text(double seconds) {
    auto const s = static_cast<std::int64_t>(seconds);
    return s >= 3600 ? fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
                     : fmt::format("{}:{:02}", s / 60, s % 60);
}

} // namespace

void RunLog::open() {
    if (rank_ != 0) return;
    std::error_code failed; // shows when the first file is opened
    std::filesystem::create_directories(folder_, failed);
    sinks_.push_back(text_sink(folder_ + "/log.txt"));
    sinks_.push_back(json_sink(folder_ + "/metrics.jsonl"));
    sinks_.push_back(tensorboard_sink(folder_ + "/tensorboard"));
    sinks_.push_back(terminal_sink());
}

void RunLog::write(nlohmann::ordered_json const& event) {
    if (sinks_.empty()) return;
    auto timed = event;
    timed["time"] =
        std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
    for (auto const& sink : sinks_) sink->event(timed);
}

void RunLog::say(std::string const& line) {
    for (auto const& sink : sinks_) sink->line(line);
}

void RunLog::progress(std::int64_t step, std::int64_t total, std::string const& text,
                      std::optional<double> left) {
    Progress const progress{step, total, text, left ? clock_text(*left) : "?"};
    for (auto const& sink : sinks_) sink->progress(progress);
}

} // namespace trireme::framework::log
