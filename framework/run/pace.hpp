// Rates of training, smoothed: a single step's depends on the lengths of its samples and on what
// else the machine does.
#pragma once
#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>

namespace trireme::framework::run {

/// Counts of one step, over all ranks.
struct StepCounts {
    std::int64_t tokens = 0;  ///< packed: all that are computed
    std::int64_t trained = 0; ///< labels that count in the loss
    std::int64_t samples = 0;
};

/// Rates over the last kSteps steps of this job; 0 before the first.
class Pace {
  public:
    static constexpr std::size_t kSteps = 20;
    void add(StepCounts const& counts, double seconds);
    double tokens_per_second() const;
    double trained_tokens_per_second() const;
    double samples_per_second() const;
    double seconds_per_step() const;
    double tokens_per_sample() const;
    /// Time that `steps` more take at the pace of this job by the clock, evaluations and saves
    /// included; its first step, which warms up, is left out. Nothing before its second step.
    std::optional<double> seconds_left(std::int64_t steps) const;

  private:
    using Clock = std::chrono::steady_clock;
    struct Step {
        double tokens, trained, samples, seconds;
    };
    double sum(double Step::*what) const;
    double rate(double Step::*what) const;
    std::deque<Step> steps_;
    std::int64_t steps_of_job_ = 0;
    Clock::time_point first_, last_; ///< ends of its first and its last step
};

} // namespace trireme::framework::run
