// The tokens of a rendered conversation, and which of them are trained.
#pragma once
#include <cstdint>
#include <vector>

#include "launch/text/chat/chat.hpp"
#include "launch/text/tokenizer.hpp"

namespace trireme::launch::text {

/// Holds the tokens of a rendered text, and how much each counts that the model learns to make.
struct Marked {
    std::vector<std::int32_t> tokens;
    std::vector<std::int32_t> weights; ///< as of data::kTokenWeights; 0: read only
    std::int64_t crossing = 0;         ///< tokens that lie on both sides of a boundary
    std::int64_t unended = 0;          ///< turns without a token that ends them
};

/// A token that begins in front of a turn is of the prompt: inference writes its first part. One
/// that begins in the turn is trained, though it reach beyond its end. A space that the tokenizer
/// leaves out of the places belongs to the token behind it.
Marked mark(Tokenizer const& tokenizer, Tokenizer::Plain&& plain,
            std::vector<TrainedSpan> const& spans);

} // namespace trireme::launch::text
