#include "framework/run/pace.hpp"

namespace trireme::framework::run {

void Pace::add(std::int64_t tokens, std::int64_t samples, double seconds) {
    steps_.push_back({static_cast<double>(tokens), static_cast<double>(samples), seconds});
    if (steps_.size() > kSteps) steps_.pop_front();
}

double Pace::rate(double Step::*what) const {
    double sum = 0, seconds = 0; // sums, since a mean of rates would favour short steps
    for (auto const& step : steps_) {
        sum += step.*what;
        seconds += step.seconds;
    }
    return seconds > 0 ? sum / seconds : 0;
}

double Pace::tokens_per_second() const {
    return rate(&Step::tokens);
}

double Pace::samples_per_second() const {
    return rate(&Step::samples);
}

double Pace::seconds_per_step() const {
    double seconds = 0;
    for (auto const& step : steps_) seconds += step.seconds;
    return steps_.empty() ? 0 : seconds / static_cast<double>(steps_.size());
}

} // namespace trireme::framework::run
