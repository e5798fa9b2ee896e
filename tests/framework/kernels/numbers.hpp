// Random numbers for tests of kernels.
#pragma once
#include <random>
#include <vector>

namespace trireme::framework::kernels {

/// `n` normally distributed numbers, the same for the same seed.
template <typename T>
std::vector<T> numbers(std::size_t n, unsigned seed) {
    std::mt19937 random(seed);
    std::normal_distribution<double> normal;
    std::vector<T> v(n);
    for (auto& x : v) x = static_cast<T>(normal(random));
    return v;
}

} // namespace trireme::framework::kernels
