// Hypotheses about the update of a step where its loss, gradients and norm are right.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "framework/parity/hypotheses.hpp"
#include "framework/parity/where.hpp"

namespace trireme::framework::parity {

namespace {

bool gradients_right(Case const& c) {
    return c.wrong.empty() && !c.specimen.wrong("loss of step 1") &&
           !c.specimen.wrong("norm of step 1");
}

/// Returns what the first moment took of a step's gradient: its value less what it held before.
at::Tensor taken(Case const& c, std::string const& name, Tensors const& first_moments) {
    at::Tensor const now = first_moments.at(name).to(at::kDouble);
    auto const& problem = c.lab.problem();
    auto const before = problem.moments1.find(name);
    return before == problem.moments1.end() ? now : now - problem.optimizer.beta1 * before->second;
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
        at::Tensor const exact = taken(c, name, c.lab.exact().first_moments),
                         found = taken(c, name, c.specimen.trace.first_moments);
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
    double const clip = c.lab.problem().optimizer.clip,
                 scale = std::min(1.0, clip / c.lab.exact().norms.at(0));
    if (c.before && near(factor * scale, std::min(1.0, clip / c.before->norm), 1e-2))
        return "gradients are clipped by the norm of the step before";
    if (near(factor, 1 / scale, 1e-2)) return "gradients are not clipped";
    if (near(factor, scale, 1e-2)) return "gradients are clipped twice";
    return "gradients are clipped by another norm than theirs";
}

bool moments_right(Case const& c) {
    return gradients_right(c) && !c.specimen.wrong("first moment");
}

/// ", that of the step before", if it is.
std::string whose_rate(Case const& c, double found) {
    return c.before && near(found, c.before->rate, 2e-2) ? ", that of the step before" : "";
}

} // namespace

std::optional<Cause> clipping(Case const& c) {
    if (!gradients_right(c)) return {};
    auto const names = c.specimen.parameters("first moment");
    if (names.empty()) return {};
    auto const factors = factors_taken(c, names);
    if (!(factors.least > 0)) return {};
    std::string const taken =
        "loss, gradients and norm agree; what the moments took of these gradients is ";
    if (!factors.uniform() && c.specimen.layout.ranks() == 1) return {};
    std::string const factor = factors.uniform()
                                   ? fmt::format("{:.4g}", factors.least)
                                   : fmt::format("{:.4g} to {:.4g}", factors.least, factors.most);
    return Cause{"clip",
                 factors.uniform() ? why_that_scale(c, factors.least)
                                   : "ranks clip by norms of their own (of a stage, a shard or a "
                                     "tensor slice), not by the global one",
                 taken + factor + " times what it should be", names, kSure};
}

/// Returns how far the first moments, where they are wrong, are from what this step alone makes of
/// them, as a fraction; infinite where nothing is wrong.
static double off_without_history(Case const& c, std::vector<std::string> const& names) {
    double off = 0, size = 0;
    for (auto const& name : names) {
        at::Tensor const exact = c.lab.exact().first_moments.at(name),
                         found = c.specimen.trace.first_moments.at(name).to(at::kDouble),
                         fresh = taken(c, name, c.lab.exact().first_moments);
        double const root_mean_square =
            exact.norm().item<double>() / std::sqrt(static_cast<double>(exact.numel()));
        at::Tensor const wrong = (found - exact).abs() > 1e-2 * root_mean_square;
        off += (found - fresh).masked_select(wrong).square().sum().item<double>();
        size += fresh.masked_select(wrong).square().sum().item<double>();
    }
    return size == 0 ? HUGE_VAL : std::sqrt(off / size);
}

std::optional<Cause> moments_lost(Case const& c) {
    if (!gradients_right(c) || c.lab.problem().moments1.empty()) return {};
    auto const names = c.specimen.parameters("first moment");
    double const off = off_without_history(c, names);
    if (off > 1e-2) return {};
    return Cause{
        "optimizer-state",
        "the optimizer's moments are lost, or not those of the elements they are used for",
        fmt::format("loss, gradients and norm agree; where the first moment is wrong it is "
                    "what this step alone makes of it, to {:.1e}",
                    off),
        names, 0.97};
}

/// Returns the factor by which the update of step 1 is another one's, or nothing if no factor
/// explains it.
static std::optional<double> factor_of_update(Case const& c,
                                              std::vector<std::string> const& names) {
    double product = 0, squares = 0, all = 0;
    for (auto const& name : names) {
        at::Tensor const start = c.lab.problem().initial.at(name).to(at::kDouble),
                         right = c.lab.exact().first.at(name) - start,
                         found = c.specimen.trace.first.at(name).to(at::kDouble) - start;
        product += (found * right).sum().item<double>();
        squares += right.square().sum().item<double>();
        all += found.square().sum().item<double>();
    }
    if (squares == 0) return {};
    double const factor = product / squares;
    // what no factor explains, as a fraction of what this one changes
    double const rest = std::sqrt(std::max(0.0, all - factor * product) / squares);
    return rest > 0.1 * std::abs(factor - 1) ? std::nullopt : std::optional(factor);
}

std::optional<Cause> rate(Case const& c) {
    if (!moments_right(c)) return {};
    auto const names = c.specimen.parameters("weights after step 1");
    auto const found = factor_of_update(c, names);
    if (!found) return {};
    double const factor = *found;
    return Cause{"rate",
                 "the update is made by another learning rate" +
                     whose_rate(c, factor * rate_of(c.lab.problem(), 0)),
                 fmt::format("loss, gradients, norm and moments agree; the weights of step 1 moved "
                             "{:.4g} times as far as they should",
                             factor),
                 names, kSure};
}

namespace {

/// Describes a decay that is not the one that was asked for.
struct Decay {
    double times = 0;                   ///< factor by which decay is too large
    bool with = false, without = false; ///< of parameters with and without weight decay
};

/// Empty if no one factor explains all of `names`. `one`: what decay takes of a weight in the step.
std::optional<Decay> decay_of(Case const& c, std::vector<std::string> const& names, double one) {
    Decay decay;
    for (auto const& name : names) {
        at::Tensor const start = c.lab.problem().initial.at(name).to(at::kDouble),
                         off = c.specimen.trace.first.at(name).to(at::kDouble) -
                               c.lab.exact().first.at(name);
        double const k =
            -(off * start).sum().item<double>() / (one * start.square().sum().item<double>());
        double const rest =
            (off + k * one * start).norm().item<double>() / off.norm().item<double>();
        if (rest > 0.2 || (decay.times != 0 && !near(k, decay.times, 0.1))) return {};
        if (decay.times == 0) decay.times = k;
        (c.lab.spec(name).decay ? decay.with : decay.without) = true;
    }
    return decay;
}

} // namespace

std::optional<Cause> decay(Case const& c) {
    if (!moments_right(c)) return {};
    auto const names = c.specimen.parameters("weights after step 1");
    if (names.empty()) return {};
    double const right = rate_of(c.lab.problem(), 0);
    auto const found = decay_of(c, names, right * c.lab.problem().optimizer.weight_decay);
    if (!found) return {};
    std::string const text =
        found->without && !found->with ? "biases and norms, which have no weight decay, decay"
        : near(found->times, -1, 0.1)
            ? "weight decay is left out"
            : "weights decay by another rate" + whose_rate(c, (1 + found->times) * right);
    return Cause{"decay", text,
                 fmt::format("loss, gradients, norm and moments agree; the weights after step 1 "
                             "are off by {:.3g} times "
                             "learning rate x decay x weight",
                             -found->times),
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
