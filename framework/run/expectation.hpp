// Holds what is known of a step before it is made. `launch`, which knows plans and machines, fills
// it in; the trainer says how far the step comes up to it.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

namespace trireme::framework::run {

/// Counts of floating-point operations, by whose convention (framework/planning/plan_report.hpp).
inline constexpr std::array kFlopConventions{"megatron", "palm", "torchtitan"};

/// Operations of one packed token of training, a linear function of the length of its sample.
struct TokenFlops {
    double fixed = 0, by_length = 0;
    double at(double length) const { return fixed + by_length * length; }
};

struct Expectation {
    std::array<TokenFlops, kFlopConventions.size()> flops{};
    double peak_flops = 0; ///< FLOP/s of a rank's device; 0: not known
    /// bytes of this rank at its peak: what its tensors take in a step, and what it had before it
    /// made them; 0: not known
    std::int64_t memory = 0;
};

} // namespace trireme::framework::run
