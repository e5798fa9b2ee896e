// Compares two checkpoints, tensor by tensor and in the state of the run. Local.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "framework/checkpoint/reader.hpp"

namespace trireme::framework::checkpoint {

struct TensorDifference {
    std::string tensor; ///< "weight/model.norm.weight"
    std::string what; ///< "only in A", "f32 [3, 4], f32 [4, 4]"; empty: comparable, and the numbers
                      ///< say how far
    std::int64_t elements = 0, unequal = 0; ///< unequal: of other bits
    /// largest |a - b|; NaN if an element is not a number in only one of them
    double largest = 0;
    /// norm of a - b over the norm of a; infinite where a is zero and b is not
    double relative = 0;
};

struct Difference {
    std::vector<TensorDifference> tensors; ///< tensors that are not equal bit for bit
    std::int64_t equal_tensors = 0;
    std::vector<std::string> state; ///< "progress/step: 4 -> 8", "config/optimizer.clip: 1 -> 0.5"
    bool none() const { return tensors.empty() && state.empty(); }
};

/// Reads both whole, a few MiB at a time. Every byte read is checked. Throws InputError.
Difference compare(Reader const& a, Reader const& b);

/// "PATH: A -> B" for every value that differs. A text that is a configuration is compared line by
/// line.
std::vector<std::string> state_differences(nlohmann::json const& a, nlohmann::json const& b);

} // namespace trireme::framework::checkpoint
