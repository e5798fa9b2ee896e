// A place where the log of a run goes. RunLog calls every sink on rank 0 and on no other, so that a
// sink knows no rank.
#pragma once
#include <nlohmann/json.hpp>

#include <cstdint>
#include <memory>
#include <string>

namespace trireme::framework::log {

/// Says where training is, for a person.
struct Progress {
    std::int64_t step = 0, total = 0;
    std::string text; ///< "epoch 0.50  loss 0.6931 ..."
    std::string left; ///< time until `total` at the pace so far: "12:34", "?" before it is known
};

/// A sink overrides what it shows.
class Sink {
  public:
    virtual ~Sink() = default;
    virtual void event(nlohmann::ordered_json const& /*event*/) {}
    virtual void line(std::string const& /*line*/) {}
    virtual void progress(Progress const& /*progress*/) {}
};

/// Standard error: lines, and a progress bar where it is a terminal; a line of progress every ten
/// seconds elsewhere.
std::unique_ptr<Sink> terminal_sink();

// The sinks below append to what is there. They throw InputError if their file cannot be opened,
// JobError if it cannot be written.

/// Writes what the terminal shows as plain lines with the time in front, and a line of progress
/// every ten seconds.
std::unique_ptr<Sink> text_sink(std::string const& path);
/// Each event as one line of JSON.
std::unique_ptr<Sink> json_sink(std::string const& path);
/// The numbers of the events `train`, `performance` and `evaluation` by step, as an event file of
/// TensorBoard: a new one for each job of a run. Names are those of metrics.jsonl: train/loss,
/// performance/exposed/tensor/mean, validation/accuracy.
std::unique_ptr<Sink> tensorboard_sink(std::string const& folder);

} // namespace trireme::framework::log
