// What a run says: one JSON line per event in RUN/metrics.jsonl, and a line or a progress bar for a person.
#pragma once
#include <nlohmann/json.hpp>

#include <chrono>
#include <cstdint>
#include <fstream>
#include <string>

namespace trireme::framework {

/// Writes on rank 0 only; on others every call does nothing. Appends, so that a resumed run keeps its history.
class MetricsLog {
  public:
    /// Touches nothing yet. `rank`: of the world.
    MetricsLog(std::string const& run_folder, int rank);

    /// Makes the folder; before the first `write`. Throws InputError if RUN/metrics.jsonl cannot be opened.
    void open();
    void write(nlohmann::ordered_json const& event);
    /// A line for a person on standard error.
    void say(std::string const& line);
    /// Progress of training: redraws one line on a terminal, prints every `interval` of time elsewhere.
    void progress(std::int64_t step, std::int64_t total, std::string const& text);

  private:
    void clear_bar();

    bool active_, terminal_, bar_drawn_ = false;
    std::ofstream file_;
    std::string path_;
    std::chrono::steady_clock::time_point start_, last_line_;
    std::int64_t first_step_ = -1;
};

} // namespace trireme::framework
