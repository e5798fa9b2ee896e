// A packed micro-batch in host memory. No meshes, no devices, no libtorch here.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace trireme::data {

/// Label value that is not trained and not counted.
inline constexpr std::int32_t kIgnoredLabel = -100;

/// n samples end to end, T tokens, nothing padded. If T must be a multiple (tensor parallelism), a
/// last segment of its own with token 0, positions from 0 and labels kIgnoredLabel fills it; it has
/// sample id -1.
struct Slot {
    std::vector<std::int32_t> tokens;    ///< [T]
    std::vector<std::int32_t> positions; ///< [T], from 0 in each sample
    std::vector<std::int32_t> segments;  ///< [T], token types (BERT); zeros if the shard has none
    /// [n + 1], sample i is tokens[offsets[i], offsets[i + 1])
    std::vector<std::int64_t> offsets;
    std::vector<std::int64_t> sample_ids; ///< [n], index of the sample in its data set
    std::vector<std::int32_t>
        /// [T], already shifted: the label of token t is what t must predict; empty if none
        token_labels;
    std::vector<std::int32_t> sample_labels; ///< [n], a class each; empty if none
    std::vector<float> sample_targets;       ///< [n], a real number each; empty if none

    std::int64_t token_count() const { return static_cast<std::int64_t>(tokens.size()); }
    std::int64_t sample_count() const { return static_cast<std::int64_t>(sample_ids.size()); }
};

} // namespace trireme::data
