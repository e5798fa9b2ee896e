// Carries what a run says to where it goes: a terminal, RUN/log.txt, RUN/metrics.jsonl,
// RUN/tensorboard/.
#pragma once
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "framework/log/sink.hpp"

namespace trireme::framework::log {

/// Writes on rank 0 only; on others every call does nothing. Appends, so that a resumed run keeps
/// its history.
class RunLog {
  public:
    /// Touches nothing yet. `rank`: of the world.
    RunLog(std::string run_folder, int rank) : folder_(std::move(run_folder)), rank_(rank) {}

    /// Makes the folder; before it nothing is written. Throws InputError if a file in it cannot be
    /// opened.
    void open();
    /// Something that programs may want to know: {"kind": ..., "step": ..., ...}; the time is
    /// added, in seconds since 1970.
    void write(nlohmann::ordered_json const& event);
    /// A line for a person.
    void say(std::string const& line);
    /// Progress of training, after each step; `left`: seconds until its end, if they are known.
    void progress(std::int64_t step, std::int64_t total, std::string const& text,
                  std::optional<double> left);

  private:
    std::string folder_;
    int rank_;
    std::vector<std::unique_ptr<Sink>> sinks_; ///< none on other ranks
};

} // namespace trireme::framework::log
