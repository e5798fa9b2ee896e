#include "framework/evaluation/overfitting.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <numeric>
#include <utility>

namespace trireme::framework::evaluation {

namespace {

/// P(T > t) of Student's distribution; an estimate without spread is certain.
double p_above(double difference, double error, double freedom) {
    if (!(freedom > 0)) return 1;
    if (!(error > 0)) return difference > 0 ? 0 : 1;
    return boost::math::cdf(boost::math::complement(
        boost::math::students_t_distribution<double>(freedom), difference / error));
}

/// Squared standard error of the mean of losses.
double squared_error(run::LossSums const& sums) {
    auto const n = static_cast<double>(sums.count);
    return std::max(0.0, (sums.squares - sums.sum * sums.sum / n) / (n - 1)) / n;
}

double mean_loss(run::LossSums const& sums) {
    return sums.sum / static_cast<double>(std::max<std::int64_t>(1, sums.count));
}

void begin_at(run::Gap& gap, std::int64_t step, SampleLosses const& now) {
    gap.lowest_step = step;
    gap.lowest = gap.last = now.mean;
    gap.losses = now.losses;
    gap.until = std::exchange(gap.since, {});
    gap.rises = 0;
    gap.overfits = false;
}

} // namespace

SampleLosses losses_to_compare(std::vector<model::SampleResult> const& samples) {
    SampleLosses found;
    double loss = 0;
    std::int64_t trained = 0;
    std::size_t const every = (samples.size() + kMostCompared - 1) / kMostCompared;
    for (std::size_t i = 0; i < samples.size(); ++i) {
        loss += samples[i].loss;
        trained += samples[i].trained;
        if (i % every != 0) continue;
        found.losses.push_back(samples[i].loss);
        found.labels.push_back(samples[i].trained);
    }
    found.mean = loss / static_cast<double>(trained);
    return found;
}

double p_of_rise(std::vector<double> const& then, SampleLosses const& now) {
    if (then.size() != now.losses.size() || then.size() < 2) return 1;
    auto const n = static_cast<double>(then.size());
    auto const labels =
        static_cast<double>(std::accumulate(now.labels.begin(), now.labels.end(), std::int64_t{0}));
    double rise = 0, squares = 0;
    for (std::size_t i = 0; i < then.size(); ++i) rise += (now.losses[i] - then[i]) / labels;
    for (std::size_t i = 0; i < then.size(); ++i) {
        double const rest = now.losses[i] - then[i] - rise * static_cast<double>(now.labels[i]);
        squares += rest * rest;
    }
    return p_above(rise, std::sqrt(squares * n / (n - 1)) / labels, n - 1);
}

double p_of_fall(run::LossSums const& then, run::LossSums const& now) {
    if (then.count < 2 || now.count < 2) return 1;
    double const a = squared_error(then), b = squared_error(now),
                 freedom = (a + b) * (a + b) /
                           (a * a / static_cast<double>(then.count - 1) +
                            b * b / static_cast<double>(now.count - 1));
    return p_above(mean_loss(then) - mean_loss(now), std::sqrt(a + b),
                   std::isfinite(freedom) ? freedom : 1);
}

bool follow_gap(run::Gap& gap, std::int64_t step, SampleLosses const& now) {
    if (!std::isfinite(now.mean)) return gap.overfits = false;
    // Another number of samples: the validation split is another than before.
    bool const compares = gap.lowest_step >= 0 && gap.losses.size() == now.losses.size();
    if (!compares || now.mean < gap.lowest) {
        begin_at(gap, step, now);
        return false;
    }
    gap.rises = now.mean > gap.last ? gap.rises + 1 : 0;
    gap.last = now.mean;
    return gap.overfits = gap.rises >= 2 && p_of_rise(gap.losses, now) < kLevel &&
                          p_of_fall(gap.until, gap.since) < kLevel;
}

std::string overfitting_text(run::Gap const& gap) {
    return fmt::format("overfits: the validation loss rose from {:.4f} at step {} to {:.4f} in two "
                       "evaluations or more, and that of training fell from {:.4f} to {:.4f}",
                       gap.lowest, gap.lowest_step, gap.last, mean_loss(gap.until),
                       mean_loss(gap.since));
}

} // namespace trireme::framework::evaluation
