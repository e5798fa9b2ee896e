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
double norm_of_all(Tensors const& tensors) {
    double squares = 0;
    for (auto const& [name, x] : tensors) squares += std::pow(norm_of(x), 2);
    return std::sqrt(squares);
}
double spread_of_copies(Spread const& copies, std::string const& name) {
    auto const found = copies.find(name);
    return found == copies.end() ? 0 : found->second;
}
double relative(double a, double exact) {
    return std::abs(a - exact) / std::max(std::abs(exact), 1e-30);
}

constexpr double kTimesSingle = 4, kFloorRoundings = 32, kMostTimesFloor = 16;
/// Later steps start from weights that differ already.
constexpr double kLaterSteps = 4;

double rounding_of(parallelize::Compute compute) {
    switch (compute) {
    case parallelize::Compute::fp64: return 0x1p-53;
    case parallelize::Compute::fp32: return 0x1p-24;
    case parallelize::Compute::bf16: return 0x1p-9;
    }
    return 0;
}

double bound_of(double single, double floor) {
    return kTimesSingle * std::clamp(single, floor, kMostTimesFloor * floor);
}

/// Returns the least bound for a gradient's distance, as a fraction. A gradient far smaller than
/// the global norm is a sum in which larger terms cancel, and has their rounding.
double gradient_floor(double rounding, at::Tensor const& gradient, double global_norm) {
    double const size = std::max(norm_of(gradient), 1e-6 * global_norm);
    return rounding * std::max(kFloorRoundings, 0.5 * global_norm / size);
}

double moved(Problem const& problem, Tensors const& exact, std::string const& name) {
    at::Tensor const& start = problem.initial.at(name);
    double const least =
        1e-6 * problem.optimizer.learning_rate * std::sqrt(static_cast<double>(start.numel()));
    return std::max(distance(exact.at(name), start), least);
}

/// Returns the least bound for the distance of weights after a step whose gradient is off by
/// `gradient_floor`: AdamW moves an element by at most rate / epsilon times as much as its gradient
/// is off, and rounds the weight.
double update_floor(Problem const& problem, Trace const& exact, std::string const& name,
                    double gradient_floor) {
    auto const& optimizer = problem.optimizer;
    double const global = exact.norms.at(0), scale = std::min(1.0, optimizer.clip / global);
    double const off =
        scale * gradient_floor * std::max(norm_of(exact.gradient.at(name)), 1e-6 * global);
    double const master =
        problem.numerics.compute == parallelize::Compute::fp64 ? 0x1p-53 : 0x1p-24;
    return optimizer.learning_rate / optimizer.epsilon * off +
           2 * master * norm_of(problem.initial.at(name));
}

/// The largest of the singles' errors.
template <typename Get>
double worst_single(std::vector<Errors> const& single, Get const& get) {
    double worst = 0;
    for (auto const& s : single) worst = std::max(worst, get(s));
    return std::isfinite(worst) ? worst : 0;
}

} // namespace

/// Notes how far losses and norms of all steps are off, as fractions.
static void compare_numbers(Errors& e, Trace const& trace, Trace const& exact) {
    for (std::size_t s = 0; s < exact.losses.size(); ++s) {
        e.losses.push_back(relative(trace.losses.at(s), exact.losses[s]));
        e.norms.push_back(relative(trace.norms.at(s), exact.norms[s]));
    }
}

/// Returns the distance of a layout's tensor to the exact one, with what its copies are apart.
static double distance_of(Tensors const& found, Spread const& copies, Tensors const& exact,
                          std::string const& name) {
    return distance(found.at(name), exact.at(name)) + spread_of_copies(copies, name);
}

Errors errors_of(Problem const& problem, Trace const& trace, Trace const& exact) {
    Errors e;
    compare_numbers(e, trace, exact);
    double const least = 1e-6 * exact.norms.at(0),
                 least_moment = 1e-6 * norm_of_all(exact.first_moments);
    for (auto const& [name, g] : exact.gradient) {
        e.gradient[name] =
            distance_of(trace.gradient, trace.gradient_copies, exact.gradient, name) /
            std::max(norm_of(g), least);
        e.first_moments[name] =
            distance_of(trace.first_moments, trace.first_moment_copies, exact.first_moments, name) /
            std::max(norm_of(exact.first_moments.at(name)), least_moment);
        e.first[name] = distance(trace.first.at(name), exact.first.at(name)) /
                        moved(problem, exact.first, name);
        e.weights[name] = distance_of(trace.weights, trace.weight_copies, exact.weights, name) /
                          moved(problem, exact.weights, name);
    }
    return e;
}

namespace {

constexpr double kOracle = 1e-10; ///< bound in float64, which is the reference's own type

/// Sets the bounds of what is compared of one parameter.
void bound_parameter(Bounds& b, Problem const& problem, Trace const& exact,
                     std::vector<Errors> const& single, std::string const& name) {
    double const rounding = rounding_of(problem.numerics.compute),
                 floor = gradient_floor(rounding, exact.gradient.at(name), exact.norms.at(0)),
                 moment_floor = gradient_floor(rounding, exact.first_moments.at(name),
                                               norm_of_all(exact.first_moments)),
                 step = update_floor(problem, exact, name, floor);
    auto const bound = [&](std::map<std::string, double> Errors::*what, double least) {
        return bound_of(worst_single(single, [&](auto const& s) { return (s.*what).at(name); }),
                        least);
    };
    bool const oracle = problem.numerics.compute == parallelize::Compute::fp64;
    b.gradient[name] = oracle ? kOracle : bound(&Errors::gradient, floor);
    b.first_moments[name] = oracle ? kOracle : bound(&Errors::first_moments, moment_floor);
    b.first[name] = bound(&Errors::first, step / moved(problem, exact.first, name));
    b.weights[name] =
        bound(&Errors::weights, kLaterSteps * step / moved(problem, exact.weights, name));
}

} // namespace

Bounds bounds_of(Problem const& problem, Trace const& exact, std::vector<Errors> const& single) {
    double const rounding = rounding_of(problem.numerics.compute);
    bool const oracle = problem.numerics.compute == parallelize::Compute::fp64;
    Bounds b;
    for (auto const& [name, g] : exact.gradient) bound_parameter(b, problem, exact, single, name);
    for (std::size_t s = 0; s < exact.losses.size(); ++s) {
        double const floor = rounding * kFloorRoundings * (s == 0 ? 1 : kLaterSteps);
        auto const bound = [&](std::vector<double> Errors::*what) {
            return bound_of(worst_single(single, [&](auto const& e) { return (e.*what).at(s); }),
                            floor);
        };
        b.losses.push_back(oracle ? kOracle : bound(&Errors::losses));
        b.norms.push_back(oracle ? kOracle : bound(&Errors::norms));
    }
    return b;
}

std::vector<Figure> figures(Errors const& errors, Bounds const& bounds) {
    std::vector<Figure> all;
    auto const by_name = [&](char const* what, auto const& error, auto const& bound) {
        for (auto const& [name, e] : error) all.push_back({what, name, e, bound.at(name)});
    };
    by_name("gradient", errors.gradient, bounds.gradient);
    by_name("first moment", errors.first_moments, bounds.first_moments);
    by_name("weights after step 1", errors.first, bounds.first);
    by_name("weights", errors.weights, bounds.weights);
    for (std::size_t s = 0; s < errors.losses.size(); ++s) {
        all.push_back(
            {fmt::format("loss of step {}", s + 1), "", errors.losses[s], bounds.losses[s]});
        all.push_back(
            {fmt::format("norm of step {}", s + 1), "", errors.norms[s], bounds.norms[s]});
    }
    worst_first(all);
    return all;
}

void worst_first(std::vector<Figure>& figures) {
    std::ranges::stable_sort(figures,
                             [](auto const& a, auto const& b) { return a.share() > b.share(); });
}

std::vector<Figure> figures_alike(Trace const& trace, Trace const& like) {
    std::vector<Figure> all{{"loss of step 1 beside its like", "",
                             relative(trace.losses.at(0), like.losses.at(0)), kAlike},
                            {"norm of step 1 beside its like", "",
                             relative(trace.norms.at(0), like.norms.at(0)), kAlike}};
    auto const by_name = [&](char const* what, Tensors const& found, Tensors const& right) {
        double const least = 1e-3 * norm_of_all(right);
        for (auto const& [name, g] : right)
            all.push_back(
                {what, name, distance(found.at(name), g) / std::max(norm_of(g), least), kAlike});
    };
    by_name("gradient beside its like", trace.gradient, like.gradient);
    by_name("first moment beside its like", trace.first_moments, like.first_moments);
    return all;
}

std::vector<Figure> figures_along(Trace const& trace, Trace const& single) {
    std::vector<Figure> all{{"norm of step 1 as a factor", "",
                             relative(trace.norms.at(0), single.norms.at(0)), kAlong}};
    double products = 0, squares = 0;
    double const least = 1e-2 * single.norms.at(0);
    for (auto const& [name, g] : single.gradient) {
        double const product =
            (trace.gradient.at(name).to(at::kDouble) * g.to(at::kDouble)).sum().item<double>();
        double const square = g.to(at::kDouble).square().sum().item<double>();
        products += product, squares += square;
        if (g.numel() >= 100 && square > least * least)
            all.push_back({"factor of a gradient", name, relative(product, square), kAlongOne});
    }
    all.push_back({"factor of all gradients", "", relative(products, squares), kAlong});
    return all;
}

std::vector<std::string> wrong_parameters(std::vector<Figure> const& all, std::string const& what) {
    std::vector<std::string> names;
    for (auto const& f : all)
        if (f.what == what && !f.holds()) names.push_back(f.parameter);
    return names;
}

} // namespace trireme::framework::parity
