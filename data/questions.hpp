// Questions of a split with their contexts and gold answers, which stand in a file beside the
// shards: DIR/questions-SPLIT.jsonl, one object per line in the order of the split.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "data/manifest.hpp"

namespace trireme::data {

struct Question {
    std::string source; ///< "FILE:LINE" of its row, by which its windows are found; once in a file
    std::string id;
    std::string context;              ///< UTF-8, in which a place is a byte from 0
    std::vector<std::string> answers; ///< right ones; none: the context has no answer
};

/// Returns the bytes [first, end) of the context. Throws JobError for places that it has not: the
/// questions are not those of the shards.
std::string text_at(Question const& question, std::int64_t first, std::int64_t end);

/// Questions and, for each sample of the split, the one that it is a window of.
struct Questions {
    std::vector<Question> all;
    std::vector<std::int64_t> of_sample;
};

/// Reads {"source", "id", "context", "answers", ...} of each line. Throws InputError naming file,
/// line and field, and for a file that the manifest does not describe.
std::vector<Question> read_questions(std::string const& directory, SideFile const& file);

} // namespace trireme::data
