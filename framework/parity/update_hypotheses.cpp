// Hypotheses about the update of step 1 where its loss, gradients and norm are right.
#include <fmt/format.h>

#include <cmath>

#include "framework/parity/hypotheses.hpp"
#include "framework/parity/where.hpp"

namespace trireme::framework::parity {

namespace {

bool gradients_right(Case const& c) {
    return c.wrong.empty() && !c.specimen.wrong("loss of step 1") &&
           !c.specimen.wrong("norm of step 1");
}

/// By what the gradients of `names` were multiplied, beside the right scale, before the moments
/// took them.
struct Factors {
    double least = 0, most = 0;
    bool uniform() const { return near(least, most, 1e-2); }
};
Factors factors_taken(Case const& c, std::vector<std::string> const& names) {
    std::vector<at::Tensor> all;
    for (auto const& name : names) {
        at::Tensor const exact = c.lab.exact().first_moments.at(name),
                         found = c.specimen.trace.first_moments.at(name).to(at::kDouble);
        double const root_mean_square =
            exact.norm().item<double>() / std::sqrt(static_cast<double>(exact.numel()));
        // of smaller ones rounding is part of the factor
        at::Tensor const clear = exact.abs() > root_mean_square;
        all.push_back((found / exact).masked_select(clear));
    }
    at::Tensor const factors = at::cat(all);
    if (factors.numel() == 0) return {};
    return {factors.min().item<double>(), factors.max().item<double>()};
}

std::string why_that_scale(Case const& c, double factor) {
    double const scale = c.lab.problem().optimizer.clip / c.lab.exact().norms.at(0);
    if (near(factor, 1 / scale, 1e-2)) return "gradients are not clipped";
    if (near(factor, scale, 1e-2)) return "gradients are clipped twice";
    return "gradients are clipped by another norm than theirs";
}

} // namespace

std::optional<Cause> clipping(Case const& c) {
    if (!gradients_right(c)) return {};
    auto const names = c.specimen.parameters("first moment");
    if (names.empty()) return {};
    auto const factors = factors_taken(c, names);
    if (!(factors.least > 0)) return {};
    if (factors.uniform())
        return Cause{"clip", why_that_scale(c, factors.least),
                     fmt::format("loss, gradients and norm agree; what the moments took of these "
                                 "gradients is {:.4g} "
                                 "times what it should be",
                                 factors.least),
                     names, kSure};
    if (c.specimen.layout.ranks() == 1) return {};
    return Cause{
        "clip",
        "ranks clip by norms of their own (of a stage, a shard or a tensor slice), not by the "
        "global one",
        fmt::format(
            "loss, gradients and norm agree; what the moments took of these gradients is {:.4g} to "
            "{:.4g} times what it should be",
            factors.least, factors.most),
        names, kSure};
}

std::optional<Cause> decay(Case const& c) {
    if (!gradients_right(c) || c.specimen.wrong("first moment")) return {};
    auto const names = c.specimen.parameters("weights after step 1");
    if (names.empty()) return {};
    auto const& problem = c.lab.problem();
    double const one = problem.optimizer.learning_rate * problem.optimizer.weight_decay;
    bool with = false, without = false;
    double times = 0; // of decay too much
    for (auto const& name : names) {
        at::Tensor const start = problem.initial.at(name).to(at::kDouble),
                         off = c.specimen.trace.first.at(name).to(at::kDouble) -
                               c.lab.exact().first.at(name);
        double const k =
            -(off * start).sum().item<double>() / (one * start.square().sum().item<double>());
        double const rest =
            (off + k * one * start).norm().item<double>() / off.norm().item<double>();
        if (rest > 0.2 || (times != 0 && !near(k, times, 0.1))) return {};
        if (times == 0) times = k;
        (c.lab.spec(name).decay ? with : without) = true;
    }
    std::string const text = without && !with
                                 ? "biases and norms, which have no weight decay, decay"
                             : near(times, -1, 0.1) ? "weight decay is left out"
                                                    : "weights decay by another rate";
    return Cause{"decay", text,
                 fmt::format("loss, gradients, norm and moments agree; the weights after step 1 "
                             "are off by {:.3g} times "
                             "learning rate x decay x weight",
                             -times),
                 names, kSure};
}

std::optional<Cause> update(Case const& c) {
    if (!gradients_right(c)) return {};
    auto const names = c.specimen.parameters("weights after step 1");
    if (names.empty()) return {};
    std::string const where =
        where_wrong(c.lab.spec(names[0]), c.specimen.layout, c.specimen.trace.first.at(names[0]),
                    c.lab.exact().first.at(names[0]));
    return Cause{
        "update", "the update itself is wrong: rate, clip, decay or what it is applied to",
        fmt::format(
            "loss, gradients and norm of step 1 agree, the weights after it do not; {} is wrong{}",
            names[0], where.empty() ? " all over" : where),
        names, kLikely};
}

} // namespace trireme::framework::parity
