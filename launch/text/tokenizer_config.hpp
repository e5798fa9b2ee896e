// Files beside tokenizer.json that speak of the same tokenizer. transformers obeys them, and
// serves an export by them: where they disagree, a model would be trained on other tokens than it
// is given later.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "launch/text/tokenizer.hpp"

namespace trireme::launch::text {

/// Throws InputError naming both files and both values if tokenizer_config.json contradicts
/// tokenizer.json: lower case, accents, Chinese characters, the space in front, tokens added at the
/// beginning and end, added tokens, or a special token that is not in the vocabulary; if
/// special_tokens_map.json names other special tokens; or if a template for chats stands in two
/// files and differs. A flag that is absent or null says nothing.
void check_tokenizer_config(std::string const& folder, Tokenizer const& tokenizer);

/// The token that ends a text: of tokenizer_config.json, else special_tokens_map.json, else
/// generation_config.json, else config.json; -1 if none of them names one. Throws InputError if
/// generation_config.json or, where that is silent, config.json ends texts with another token, or
/// names one that the tokenizer does not have.
std::int32_t end_of_text(std::string const& folder, Tokenizer const& tokenizer);

/// Is it one of the tokens at which transformers ends what a model of the folder generates? They
/// are those of generation_config.json, else of config.json.
bool ends_generation(std::string const& folder, std::int32_t token);

/// Sentences about what the folder says in two places, the first of which transformers obeys: stop
/// tokens of generation_config.json and config.json that have none in common.
std::vector<std::string> doubts_about_tokenizer(std::string const& folder);

/// model_max_length of tokenizer_config.json: where transformers cuts a text, if it is asked to. 0:
/// not said, or given as a number beyond all lengths, which is how transformers writes that there
/// is none.
std::int64_t length_of_tokenizer(std::string const& folder);

/// Tells whether a text that is too long loses its beginning: truncation_side of
/// tokenizer_config.json, else what tokenizer.json says of truncation; transformers obeys them in
/// this order.
bool cuts_in_front(std::string const& folder);

/// Refuses --pair where the tokenizer marks the second text by a segment of its own and the
/// config.json beside it has type_vocab_size 1. Tokenizers of RoBERTa's kind mark neither.
/// `column`: of the second text. Throws InputError.
void check_pair(std::string const& folder, std::string const& column, Tokenizer const& tokenizer);

} // namespace trireme::launch::text
