// Special tokens that a tokenizer lacks, in the files by which programs know a tokenizer.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace trireme::launch::text {

/// Returns the text of tokenizer.json with the tokens behind all others: their ids begin with
/// `first`. `file` is for messages. Throws InputError.
std::string with_added_tokens(std::string const& file, std::string const& text,
                              std::vector<std::string> const& added, std::int64_t first);

/// Adds the tokens to those files of a tokenizer in `folder` that list such, and writes them anew.
/// Throws InputError, JobError.
void write_added_tokens(std::string const& folder, std::vector<std::string> const& added,
                        std::int64_t first);

/// Throws InputError "--add-tokens: ..." for a token that is given twice or is no text.
void check_added_tokens(std::vector<std::string> const& added);

/// One line for people; `room`: vocab_size of the model beside the tokenizer, 0 if there is none.
std::string told_of_added_tokens(std::vector<std::string> const& added, std::int64_t first,
                                 std::int64_t room);

} // namespace trireme::launch::text
