// Rates of training, smoothed: a single step's depends on the lengths of its samples and on what
// else the machine does.
#pragma once
#include <cstdint>
#include <deque>

namespace trireme::framework::run {

/// Rates over the last kSteps steps of this job.
class Pace {
  public:
    static constexpr std::size_t kSteps = 20;
    void add(std::int64_t tokens, std::int64_t samples, double seconds);
    double tokens_per_second() const; ///< 0 before the first step
    double samples_per_second() const;
    double seconds_per_step() const; ///< 0 before the first step

  private:
    struct Step {
        double tokens, samples, seconds;
    };
    double rate(double Step::*what) const;
    std::deque<Step> steps_;
};

} // namespace trireme::framework::run
