// Sentences in parts that a model has room for.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "data/shard.hpp"

namespace trireme::launch::text {

/// A sentence as tokens, with a class at the first token of each word.
struct Sentence {
    std::vector<std::int32_t> tokens, classes;
    std::vector<bool> begins; ///< by token: a word begins here
    std::vector<bool> splits; ///< by token: a word begins here that goes on no entity

    std::size_t size() const { return tokens.size(); }
};

/// Places of a sentence's tokens; classes count from `labelled` on.
struct Part {
    std::size_t first = 0, labelled = 0, end = 0;
};
/// The sample of a part between the tokens of a template, with classes of words.
data::Sample sample_of(Sentence const& s, Part const& part,
                       std::vector<std::int32_t> const& leading,
                       std::vector<std::int32_t> const& trailing);
/// Parts of at most `room` tokens, which begin and end between words, and if it can be between
/// entities. Each has, from the one before, at most `stride` tokens whose classes do not count.
std::vector<Part> parts_of(Sentence const& s, std::size_t room, std::size_t stride);

} // namespace trireme::launch::text
