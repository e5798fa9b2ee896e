#include "framework/metrics_log.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>

#include "cluster/error.hpp"

namespace trireme::framework {

namespace {

constexpr auto kPlainInterval = std::chrono::seconds(10);
constexpr int kBarWidth = 24;

std::string clock_text(double seconds) {
    auto const s = static_cast<std::int64_t>(seconds);
    return s >= 3600 ? fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
                     : fmt::format("{}:{:02}", s / 60, s % 60);
}

/// A run that was killed may have left half a line, which must not spoil the next one.
bool ends_in_the_middle_of_a_line(std::string const& path) {
    std::ifstream file(path, std::ios::binary);
    file.seekg(-1, std::ios::end);
    char last = '\n';
    file.get(last);
    return last != '\n';
}

} // namespace

MetricsLog::MetricsLog(std::string const& run_folder, int rank)
    : active_(rank == 0), terminal_(isatty(STDERR_FILENO) != 0), path_(run_folder + "/metrics.jsonl"),
      start_(std::chrono::steady_clock::now()), last_line_(start_ - kPlainInterval) {}

void MetricsLog::open() {
    if (!active_) return;
    std::error_code failed; // shows when the file is opened
    std::filesystem::create_directories(std::filesystem::path(path_).parent_path(), failed);
    bool const torn = ends_in_the_middle_of_a_line(path_);
    file_.open(path_, std::ios::app);
    if (torn) file_ << '\n';
    if (!file_)
        throw cluster::InputError(path_ +
                                  ": cannot be written; legal: a run folder on a disk with room and write permission");
}

void MetricsLog::write(nlohmann::ordered_json const& event) {
    if (!active_) return;
    file_ << event.dump() << '\n' << std::flush;
    if (!file_) throw cluster::JobError(path_ + ": write failed; is the disk full?");
}

void MetricsLog::say(std::string const& line) {
    if (!active_) return;
    clear_bar();
    fmt::print(stderr, "{}\n", line);
}

void MetricsLog::progress(std::int64_t step, std::int64_t total, std::string const& text) {
    if (!active_) return;
    auto const now = std::chrono::steady_clock::now();
    if (first_step_ < 0) {
        first_step_ = step - 1;
        start_ = now;
    }
    std::int64_t const done = step - first_step_;
    double const elapsed = std::chrono::duration<double>(now - start_).count();
    std::string const left =
        done > 1 ? clock_text(elapsed / static_cast<double>(done - 1) * static_cast<double>(total - step)) : "?";
    if (terminal_) {
        int const filled = static_cast<int>(kBarWidth * step / std::max<std::int64_t>(1, total));
        fmt::print(stderr, "\r\033[2K[{}{}] {}/{}  {}  {} left", std::string(static_cast<std::size_t>(filled), '='),
                   std::string(static_cast<std::size_t>(kBarWidth - filled), ' '), step, total, text, left);
        std::fflush(stderr);
        bar_drawn_ = true;
    } else if (now - last_line_ >= kPlainInterval || step == total) {
        fmt::print(stderr, "step {}/{}  {}  {} left\n", step, total, text, left);
        last_line_ = now;
    }
}

void MetricsLog::clear_bar() {
    if (bar_drawn_) fmt::print(stderr, "\r\033[2K");
    bar_drawn_ = false;
}

} // namespace trireme::framework
