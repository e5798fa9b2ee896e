// Answers in a window of a context. Plain data; no torch.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "framework/model/results.hpp"

namespace trireme::framework::model {

/// Tokens of an answer, at most: the max_answer_length of transformers' question answering.
inline constexpr std::size_t kLongestAnswer = 30;

/// Appends kSpansOfWindow spans of a window: token 0 taken for both ends, then the best stretches
/// of kLongestAnswer tokens or fewer whose ends are tokens of the context. logits[T, 2]: of a first
/// and of a last token; context_bytes[T, 2]: data::kContextBytes. Equal scores are in the order of
/// their tokens.
void best_spans(std::span<float const> logits, std::span<std::int32_t const> context_bytes,
                std::vector<AnswerSpan>& to);

} // namespace trireme::framework::model
