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
double spread(Spread const& copies, std::string const& name) {
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

Errors errors_of(Problem const& problem, Trace const& trace, Trace const& exact) {
    Errors e;
    for (std::size_t s = 0; s < exact.losses.size(); ++s) {
        e.losses.push_back(relative(trace.losses.at(s), exact.losses[s]));
        e.norms.push_back(relative(trace.norms.at(s), exact.norms[s]));
    }
    double const least = 1e-6 * exact.norms.at(0),
                 least_moment = 1e-6 * norm_of_all(exact.first_moments);
    for (auto const& [name, g] : exact.gradient) {
        e.gradient[name] =
            (distance(trace.gradient.at(name), g) + spread(trace.gradient_copies, name)) /
            std::max(norm_of(g), least);
        at::Tensor const m = exact.first_moments.at(name);
        e.first_moments[name] =
            (distance(trace.first_moments.at(name), m) + spread(trace.first_moment_copies, name)) /
            std::max(norm_of(m), least_moment);
        e.first[name] = distance(trace.first.at(name), exact.first.at(name)) /
                        moved(problem, exact.first, name);
        e.weights[name] = (distance(trace.weights.at(name), exact.weights.at(name)) +
                           spread(trace.weight_copies, name)) /
                          moved(problem, exact.weights, name);
    }
    return e;
}

Bounds bounds_of(Problem const& problem, Trace const& exact, std::vector<Errors> const& single) {
    double const rounding = rounding_of(problem.numerics.compute);
    bool const oracle = problem.numerics.compute == parallelize::Compute::fp64;
    Bounds b;
    double const global = exact.norms.at(0), all_moments = norm_of_all(exact.first_moments);
    for (auto const& [name, g] : exact.gradient) {
        double const floor = gradient_floor(rounding, g, global),
                     moment_floor =
                         gradient_floor(rounding, exact.first_moments.at(name), all_moments);
        b.gradient[name] =
            oracle
                ? 1e-10
                : bound_of(worst_single(single, [&](auto const& s) { return s.gradient.at(name); }),
                           floor);
        b.first_moments[name] =
            oracle ? 1e-10
                   : bound_of(worst_single(single,
                                           [&](auto const& s) { return s.first_moments.at(name); }),
                              moment_floor);
        double const step = update_floor(problem, exact, name, floor);
        b.first[name] =
            bound_of(worst_single(single, [&](auto const& s) { return s.first.at(name); }),
                     step / moved(problem, exact.first, name));
        b.weights[name] =
            bound_of(worst_single(single, [&](auto const& s) { return s.weights.at(name); }),
                     kLaterSteps * step / moved(problem, exact.weights, name));
    }
    for (std::size_t s = 0; s < exact.losses.size(); ++s) {
        double const floor = rounding * kFloorRoundings * (s == 0 ? 1 : kLaterSteps);
        b.losses.push_back(
            oracle ? 1e-10
                   : bound_of(worst_single(single, [&](auto const& e) { return e.losses.at(s); }),
                              floor));
        b.norms.push_back(
            oracle ? 1e-10
                   : bound_of(worst_single(single, [&](auto const& e) { return e.norms.at(s); }),
                              floor));
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
