#include "framework/parity/later_step.hpp"

#include <fmt/format.h>

#include <exception>
#include <optional>

namespace trireme::framework::parity {

namespace {

/// Weights differ already by what rounding made of the steps before.
constexpr double kLooser = 4;

/// A run from its step `step` (from 0) on, as if it began there.
Trace seen_from(Trace const& whole, std::size_t step) {
    auto const from = static_cast<std::ptrdiff_t>(step);
    StepTrace const& first = whole.each.at(step);
    Trace t;
    t.losses.assign(whole.losses.begin() + from, whole.losses.end());
    t.norms.assign(whole.norms.begin() + from, whole.norms.end());
    t.gradient = first.gradient;
    t.gradient_copies = first.gradient_copies;
    t.first = first.weights;
    t.first_moments = first.moments1;
    t.first_moment_copies = first.moment_copies;
    t.weights = whole.weights;
    t.moments = whole.moments;
    t.weight_copies = whole.weight_copies;
    t.weights_sha256 = whole.weights_sha256;
    return t;
}

Problem begun_at(Problem const& problem, Trace const& exact, std::size_t step) {
    Problem later = problem;
    StepTrace const& before = exact.each.at(step - 1);
    later.first_step += static_cast<std::int64_t>(step);
    later.steps -= static_cast<int>(step);
    later.initial = before.weights;
    later.moments1 = before.moments1;
    later.moments2 = before.moments2;
    later.keep_each_step = false;
    return later;
}

Bounds looser(Bounds bounds) {
    for (auto* by_name : {&bounds.gradient, &bounds.first_moments, &bounds.first, &bounds.weights})
        for (auto& [name, bound] : *by_name) bound *= kLooser;
    for (auto* by_step : {&bounds.losses, &bounds.norms})
        for (auto& bound : *by_step) bound *= kLooser;
    return bounds;
}

/// A run of the layout that begins with the laboratory's problem; none if it does not run.
std::optional<Specimen> begun_anew(Layout const& layout, Laboratory const& lab) {
    try {
        return lab.examine(layout);
    } catch (std::exception const&) {
        return std::nullopt;
    }
}

std::vector<Cause> causes_at(Laboratory& lab, Specimen const& in_the_run, Before const& before) {
    auto const anew = begun_anew(in_the_run.layout, lab);
    bool const again = anew && !anew->first_step_right();
    Specimen const& specimen = again ? *anew : in_the_run;
    Case const facts{lab, specimen, specimen.parameters("gradient"), &before};
    auto const number = lab.problem().first_step + 1;
    std::vector<Cause> causes;
    for (auto const& hypothesis : again ? hypotheses() : hypotheses_of_carried())
        if (auto cause = hypothesis(facts)) {
            cause->text += fmt::format(" (in step {})", number);
            cause->evidence = fmt::format(
                "counted from step {} on, {}: {}", number,
                again ? "in a run that begins there with the reference's weights and moments"
                      : "which is right where a run begins with it",
                cause->evidence);
            causes.push_back(std::move(*cause));
        }
    return causes;
}

/// Returns the bounds of a run that begins at `step`, by single processes of the whole run.
Bounds bounds_from(Problem const& problem, Trace const& exact, std::vector<Trace> const& single,
                   std::size_t step) {
    std::vector<Errors> errors;
    for (auto const& s : single) errors.push_back(errors_of(problem, seen_from(s, step), exact));
    return looser(bounds_of(problem, exact, errors));
}

} // namespace

std::vector<Cause> later_causes(Layout const& layout, Laboratory const& lab) {
    Problem whole = lab.problem();
    whole.keep_each_step = true;
    Trace const exact = exact_trace(whole), found = lab.runner()(whole, layout);
    std::vector<Trace> single;
    for (auto const tokens : packings()) single.push_back(single_trace(whole, tokens));
    for (std::size_t step = 1; step < exact.each.size(); ++step) {
        Problem const problem = begun_at(whole, exact, step);
        Trace const from_here = seen_from(exact, step);
        Bounds const bounds = bounds_from(problem, from_here, single, step);
        Laboratory later(problem, from_here, bounds, lab.runner());
        Specimen const specimen = later.compare(layout, seen_from(found, step));
        if (specimen.first_step_right()) continue;
        Before const before{exact.each[step - 1].gradient, exact.norms[step - 1],
                            rate_of(whole, static_cast<std::int64_t>(step) - 1)};
        return causes_at(later, specimen, before);
    }
    return {};
}

} // namespace trireme::framework::parity
