#include "framework/run/pace.hpp"

namespace trireme::framework::run {

void Pace::add(StepCounts const& counts, double seconds) {
    steps_.push_back({static_cast<double>(counts.tokens), static_cast<double>(counts.trained),
                      static_cast<double>(counts.samples), seconds});
    if (steps_.size() > kSteps) steps_.pop_front();
    last_ = Clock::now();
    if (steps_of_job_++ == 0) first_ = last_;
}

double Pace::sum(double Step::*what) const {
    double sum = 0;
    for (auto const& step : steps_) sum += step.*what;
    return sum;
}

double Pace::rate(double Step::*what) const {
    // sums, since a mean of rates would favour short steps
    double const seconds = sum(&Step::seconds);
    return seconds > 0 ? sum(what) / seconds : 0;
}

double Pace::tokens_per_second() const {
    return rate(&Step::tokens);
}

double Pace::trained_tokens_per_second() const {
    return rate(&Step::trained);
}

double Pace::samples_per_second() const {
    return rate(&Step::samples);
}

double Pace::seconds_per_step() const {
    return steps_.empty() ? 0 : sum(&Step::seconds) / static_cast<double>(steps_.size());
}

double Pace::tokens_per_sample() const {
    double const samples = sum(&Step::samples);
    return samples > 0 ? sum(&Step::tokens) / samples : 0;
}

std::optional<double> Pace::seconds_left(std::int64_t steps) const {
    if (steps <= 0) return 0;
    if (steps_of_job_ < 2) return std::nullopt;
    double const each = std::chrono::duration<double>(last_ - first_).count() /
                        static_cast<double>(steps_of_job_ - 1);
    return each * static_cast<double>(steps);
}

} // namespace trireme::framework::run
