// Names of the groups that are not one axis of the mesh: traffic is counted and dry runs are
// answered by them.
#pragma once
#include <charconv>
#include <optional>
#include <string>
#include <string_view>

namespace trireme::parallel {

inline constexpr std::string_view kData = "data"; ///< replicate and shard together
/// The pipeline axis again, for what goes forward and what comes back.
inline constexpr std::string_view kActivations = "activations",
                                  kActivationGradients = "activation gradients";
/// The group of one boundary between two stages, where a direction has more than one group
/// (parallel/stage_link.hpp).
inline std::string at_boundary(std::string_view direction, int number) {
    return std::string(direction) + " " + std::to_string(number);
}
/// Tells whether it is a group of that direction.
inline bool is_of(std::string_view direction, std::string_view group) {
    return group.starts_with(direction) &&
           (group.size() == direction.size() || group[direction.size()] == ' ');
}

/// The shard axis again, for gradients: on a GPU the gathers of weights do not wait behind them.
inline constexpr std::string_view kGradients = "shard gradients";

inline constexpr std::string_view kTensorSharers = "tensor sharers of ";
/// Consecutive ranks of the tensor axis that hold the same slice.
inline std::string tensor_sharers(int copies) {
    return std::string(kTensorSharers) + std::to_string(copies);
}
/// The number in such a name.
inline std::optional<int> sharers_of(std::string_view group) {
    int copies = 0;
    if (!group.starts_with(kTensorSharers)) return std::nullopt;
    std::from_chars(group.data() + kTensorSharers.size(), group.data() + group.size(), copies);
    return copies;
}

} // namespace trireme::parallel
