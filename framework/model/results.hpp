// Findings of a head about samples. Plain data; no torch.
#pragma once
#include <cstdint>
#include <functional>
#include <limits>
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

/// A stretch of a context that may be the answer.
struct AnswerSpan {
    float score = -std::numeric_limits<float>::infinity(); ///< logits of its ends; none: the lowest
    std::int32_t first = -1, end = -1;                     ///< bytes of the context
};
/// Spans of a window: first that of no answer, whose score is that of token 0, then the best, best
/// first, those that are not there at the end.
inline constexpr std::size_t kSpansOfWindow = 21;

/// Holds what a pass found: one entry per sample, in micro-batch order.
struct Results {
    std::vector<SampleResult> samples;
    /// Row after row, samples in the order above. Heads of samples: a row of outputs for each.
    /// Heads of tokens: only where Pass::keep_logits asks, a row of outputs for each token.
    std::vector<float> logits;
    std::vector<float> targets = {}; ///< targets of numbers, laid out as the logits; NaN: missing
    /// Classes of tokens: label and prediction of each word that has a label, as many pairs for a
    /// sample as it has trained labels.
    std::vector<std::int32_t> words = {};
    std::vector<AnswerSpan> spans = {}; ///< answers: kSpansOfWindow for each sample
    /// Fetches results that are still on a GPU, in the same order. Calling one waits for the GPU.
    std::vector<std::function<void(Results&)>> waiting = {};
    void read_back();
};

} // namespace trireme::framework::model
