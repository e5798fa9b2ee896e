// Completions of prompts as texts with their scores. No torch.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "framework/evaluation/metrics.hpp"

namespace trireme::framework::evaluation {

/// Tokens of a prompt, of what a model made of it, and of what it was to say; neither of the latter
/// has a stop token.
struct CompletedPrompt {
    std::vector<std::int32_t> prompt, completion, reference;
};

/// A completed prompt as texts, and how good its completion is.
struct ScoredCompletion {
    std::string prompt, completion, reference;
    CompletionScores scores;
};

/// Reads tokens as texts and scores them, one entry for each. Called on rank 0 alone. Throws
/// JobError if there is no tokenizer any more.
using CompletionScorer =
    std::function<std::vector<ScoredCompletion>(std::vector<CompletedPrompt> const&)>;

} // namespace trireme::framework::evaluation
