#include "framework/parity/compare.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace trireme::framework::parity {

namespace {

double norm_of(at::Tensor const& x) {
    return x.to(at::kDouble).norm().item<double>();
}
double distance(at::Tensor const& a, at::Tensor const& b) {
    return (a.to(at::kDouble) - b.to(at::kDouble)).norm().item<double>();
}
double relative(double a, double exact) {
    return std::abs(a - exact) / std::max(std::abs(exact), 1e-30);
}

constexpr double kTimesSingle = 4, kFloorRoundings = 32, kMostTimesFloor = 64;
/// Later steps start from weights that differ already, by whole steps where a gradient has no sign. Of 800 single
/// processes (400 seeds, four families, fp32) the norm of one was off by as much as 7.4e-4, and the loss by 1.5e-4.
constexpr double kLaterSteps = 128;

/// What the arithmetic of a layout may cost whatever a single process did, as a fraction.
struct Floors {
    double rounding; ///< one
    double update;   ///< of an AdamW step: it divides small gradients by small numbers
};
Floors floors_of(Compute compute) {
    switch (compute) {
    case Compute::fp64: return {0x1p-53, 1e-9};
    case Compute::fp32: return {0x1p-24, 1e-3};
    case Compute::bf16: return {0x1p-9, kFloorRoundings * 0x1p-9}; // as gradients off by their floor make it
    }
    return {};
}

double bound_of(double single, double floor) {
    return kTimesSingle * std::clamp(single, floor, kMostTimesFloor * floor);
}

/// Of a gradient's distance, as a fraction. An exact gradient of nothing is the rounding of sums of other sizes.
double gradient_floor(Floors const& floors, at::Tensor const& gradient, double global_norm) {
    double const size = std::max(norm_of(gradient), 1e-6 * global_norm);
    return floors.rounding * std::max(kFloorRoundings, 0.5 * global_norm / size);
}

/// Elements whose gradient says which way AdamW's first steps go. They are nearly its sign, and the sign of an element
/// smaller than what the bound of gradients lets pass is either, each as right as the other.
at::Tensor signed_elements(at::Tensor const& gradient, double floor) {
    at::Tensor const g = gradient.to(at::kDouble);
    double const root_mean_square = norm_of(g) / std::sqrt(static_cast<double>(g.numel()));
    return g.abs() > kTimesSingle * floor * root_mean_square;
}
double distance(at::Tensor const& a, at::Tensor const& b, at::Tensor const& counted) {
    return ((a.to(at::kDouble) - b.to(at::kDouble)) * counted).norm().item<double>();
}

double moved(Problem const& problem, Tensors const& exact, std::string const& name) {
    at::Tensor const& start = problem.initial.at(name);
    double const least = 1e-6 * problem.optimizer.learning_rate * std::sqrt(static_cast<double>(start.numel()));
    return std::max(distance(exact.at(name), start), least);
}

/// The largest of the singles' errors.
template <typename Get>
double worst_single(std::vector<Errors> const& single, Get const& get) {
    double worst = 0;
    for (auto const& s : single) worst = std::max(worst, get(s));
    return std::isfinite(worst) ? worst : 0;
}

} // namespace

Errors errors_of(Problem const& problem, Trace const& trace, Trace const& exact) {
    Errors e;
    for (std::size_t s = 0; s < exact.losses.size(); ++s) {
        e.losses.push_back(relative(trace.losses.at(s), exact.losses[s]));
        e.norms.push_back(relative(trace.norms.at(s), exact.norms[s]));
    }
    double const least = 1e-6 * exact.norms.at(0);
    for (auto const& [name, g] : exact.gradient) {
        e.gradient[name] = distance(trace.gradient.at(name), g) / std::max(norm_of(g), least);
        at::Tensor const counted =
            signed_elements(g, gradient_floor(floors_of(problem.numerics.compute), g, exact.norms.at(0)));
        e.first[name] =
            distance(trace.first.at(name), exact.first.at(name), counted) / moved(problem, exact.first, name);
        e.weights[name] =
            distance(trace.weights.at(name), exact.weights.at(name), counted) / moved(problem, exact.weights, name);
    }
    return e;
}

Bounds bounds_of(Problem const& problem, Trace const& exact, std::vector<Errors> const& single) {
    Floors const floors = floors_of(problem.numerics.compute);
    bool const oracle = problem.numerics.compute == Compute::fp64;
    Bounds b;
    double const global = exact.norms.at(0), rate = problem.optimizer.learning_rate;
    for (auto const& [name, g] : exact.gradient) {
        double const floor = gradient_floor(floors, g, global);
        b.gradient[name] =
            oracle ? 1e-10 : bound_of(worst_single(single, [&](auto const& s) { return s.gradient.at(name); }), floor);
        double const full = floors.update * rate * std::sqrt(static_cast<double>(g.numel()));
        b.first[name] = bound_of(worst_single(single, [&](auto const& s) { return s.first.at(name); }),
                                 full / moved(problem, exact.first, name));
        b.weights[name] = bound_of(worst_single(single, [&](auto const& s) { return s.weights.at(name); }),
                                   problem.steps * full / moved(problem, exact.weights, name));
    }
    for (std::size_t s = 0; s < exact.losses.size(); ++s) {
        double const floor = floors.rounding * kFloorRoundings * (s == 0 ? 1 : kLaterSteps);
        b.losses.push_back(
            oracle ? 1e-10 : bound_of(worst_single(single, [&](auto const& e) { return e.losses.at(s); }), floor));
        b.norms.push_back(oracle ? 1e-10
                                 : bound_of(worst_single(single, [&](auto const& e) { return e.norms.at(s); }), floor));
    }
    return b;
}

std::vector<Figure> figures(Errors const& errors, Bounds const& bounds) {
    std::vector<Figure> all;
    auto const by_name = [&](char const* what, auto const& error, auto const& bound) {
        for (auto const& [name, e] : error) all.push_back({what, name, e, bound.at(name)});
    };
    by_name("gradient", errors.gradient, bounds.gradient);
    by_name("weights after step 1", errors.first, bounds.first);
    by_name("weights", errors.weights, bounds.weights);
    for (std::size_t s = 0; s < errors.losses.size(); ++s) {
        all.push_back({fmt::format("loss of step {}", s + 1), "", errors.losses[s], bounds.losses[s]});
        all.push_back({fmt::format("norm of step {}", s + 1), "", errors.norms[s], bounds.norms[s]});
    }
    std::ranges::stable_sort(all, [](auto const& a, auto const& b) { return a.share() > b.share(); });
    return all;
}

std::vector<std::string> wrong_parameters(std::vector<Figure> const& all, std::string const& what) {
    std::vector<std::string> names;
    for (auto const& f : all)
        if (f.what == what && !f.holds()) names.push_back(f.parameter);
    return names;
}

} // namespace trireme::framework::parity
