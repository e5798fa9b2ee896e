// Gradients by central differences, with which those of kernels are compared.
#pragma once

#include <numeric>
#include <vector>

namespace trireme::framework::kernels {

/// Central difference of `loss` by x[i].
template <typename F>
double slope(std::vector<double>& x, std::size_t i, F const& loss) {
    double const h = 1e-5, kept = x[i];
    x[i] = kept + h;
    double const up = loss();
    x[i] = kept - h;
    double const down = loss();
    x[i] = kept;
    return (up - down) / (2 * h);
}

inline double dot(std::vector<double> const& a, std::vector<double> const& b) {
    return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

} // namespace trireme::framework::kernels
