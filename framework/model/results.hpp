// Findings of a head about samples. Plain data; no torch.
#pragma once
#include <cstdint>
#include <functional>
#include <vector>

namespace trireme::framework::model {

/// Says what is found of a sample, and so which metrics there are.
enum class Findings : std::uint8_t {
    next_tokens,
    classes,
    numbers,
    label_sets,
    token_classes,
    answers
};

/// Holds what the head found for one sample. Sums of these over unique sample ids are exact metrics
/// for any layout.
struct SampleResult {
    std::int64_t sample = -1;
    double loss = 0;                          ///< summed over the sample's trained labels
    std::int64_t trained = 0;                 ///< trained labels
    std::int64_t correct = 0;                 ///< how many of them were predicted right
    std::int32_t label = -1, prediction = -1; ///< classification
};

/// Holds what a pass found: one entry per sample, in micro-batch order.
struct Results {
    std::vector<SampleResult> samples;
    /// Row after row, samples in the order above. Heads of samples: a row of outputs for each.
    /// Language models: only where Pass::keep_logits asks, one row of V per token.
    std::vector<float> logits;
    std::vector<float> targets = {}; ///< targets of numbers, laid out as the logits; NaN: missing
    /// Fetches results that are still on a GPU, in the same order. Calling one waits for the GPU.
    std::vector<std::function<void(Results&)>> waiting = {};
    void read_back();
};

} // namespace trireme::framework::model
