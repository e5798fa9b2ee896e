// Gauss-Legendre quadrature on [0, 1] (Golub and Welsch, "Calculation of Gauss quadrature rules",
// 1969, has the theory; the nodes are found here by Newton's method).
#pragma once
#include <cmath>
#include <cstdint>
#include <numbers>
#include <vector>

namespace trireme::framework::jobs {

/// The integral of f from 0 to 1 is nearly the sum of weights[i] * f(nodes[i]), exactly for a
/// polynomial of a degree below twice their count.
struct Quadrature {
    std::vector<double> nodes, weights;
};

namespace quadrature {

struct Legendre {
    double value, slope;
};
/// The polynomial of degree n and its derivative at x inside (-1, 1).
inline Legendre legendre(std::int64_t n, double x) {
    double before = 1, value = x;
    for (std::int64_t k = 2; k <= n; ++k) {
        auto const degree = static_cast<double>(k);
        double const next = ((2 * degree - 1) * x * value - (degree - 1) * before) / degree;
        before = value;
        value = next;
    }
    return {value, static_cast<double>(n) * (x * value - before) / (x * x - 1)};
}

} // namespace quadrature

/// `n`: nodes, 1 or more.
inline Quadrature gauss_legendre(std::int64_t n) {
    constexpr int kIterations = 100;
    Quadrature rule;
    for (std::int64_t i = n; i >= 1; --i) {
        double x = std::cos(std::numbers::pi * (static_cast<double>(i) - 0.25) /
                            (static_cast<double>(n) + 0.5));
        double step = 1;
        for (int k = 0; k < kIterations && std::abs(step) > 1e-15; ++k) {
            auto const [value, slope] = quadrature::legendre(n, x);
            x -= step = value / slope;
        }
        double const slope = quadrature::legendre(n, x).slope;
        rule.nodes.push_back((1 + x) / 2);
        rule.weights.push_back(1 / ((1 - x * x) * slope * slope));
    }
    return rule;
}

} // namespace trireme::framework::jobs
