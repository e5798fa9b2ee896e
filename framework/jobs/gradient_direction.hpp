// Gradients of single samples, of length 1, and their random projection: a count sketch (Charikar,
// Chen and Farach-Colton 2002; Weinberger et al. 2009), whose inner products are right on the mean
// and miss by about 1 / sqrt(kProjected).
#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace trireme::framework::jobs {

inline constexpr std::int64_t kProjected = 2048; ///< numbers of a projected gradient

/// The gradient of one sample, of length 1: that of the last layer, and that of all parameters,
/// projected.
struct Direction {
    std::vector<float> head, projected;
};

/// Makes the length 1; zeros stay zeros.
void normalize(std::vector<float>& values);
float product(std::span<float const> a, std::span<float const> b);

/// A number of the projection for each element of all gradients, and its sign: a function of the
/// element's place in the order of parameters.
class Projection {
  public:
    explicit Projection(std::int64_t elements);
    /// Adds the projection of elements first, first + 1, ...
    void add(std::span<float const> values, std::int64_t first, std::vector<float>& to) const;

  private:
    std::vector<std::uint32_t> drawn_;
};

} // namespace trireme::framework::jobs
