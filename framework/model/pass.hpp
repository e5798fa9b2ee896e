// What one forward pass over one slot needs besides weights.
#pragma once
#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

#include "data/slot.hpp"

namespace trireme::framework {

/// One slot and the circumstances it is computed in. Random numbers are keyed by (seed, step, sample id, site,
/// element).
struct Pass {
    data::Slot slot;
    at::Tensor tokens; ///< int64 [T], from slot.tokens
    bool training = false;
    std::uint64_t seed = 0;
    std::int64_t step = 0;
    double loss_scale = 1.0;  ///< 1 / trained labels of the whole step
    bool keep_logits = false; ///< language models: hand the logits of every token to Results; costs [T, V] of memory
};

/// What the head found for one sample. Sums of these over unique sample ids are exact metrics for any layout.
struct SampleResult {
    std::int64_t sample = -1;
    double loss = 0;                          ///< summed over the sample's trained labels
    std::int64_t trained = 0;                 ///< trained labels
    std::int64_t correct = 0;                 ///< of them predicted right
    std::int32_t label = -1, prediction = -1; ///< classification
};

/// What a pass found: one entry per sample, in slot order.
struct Results {
    std::vector<SampleResult> samples;
    /// Row after row, samples in the order above. Classification: one row of C per sample. Language models: only where
    /// Pass::keep_logits asks, one row of V per token.
    std::vector<float> logits;
};

/// Places where dropout happens; with the layer's index the `site` of a random stream, the same in every layout.
enum class Site : std::uint64_t {
    embeddings = 0,
    attention = 1,
    attention_output = 2,
    feed_forward_output = 3,
    classifier = 4
};
inline std::uint64_t site_id(Site site, std::int64_t layer = 0) {
    return static_cast<std::uint64_t>(layer) * 8 + static_cast<std::uint64_t>(site);
}

/// Makes the tensors of a pass from its slot.
Pass make_pass(data::Slot slot, bool training, std::uint64_t seed, std::int64_t step, double loss_scale);

} // namespace trireme::framework
