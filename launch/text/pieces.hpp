// Tokens of texts with the pieces of the text that they stand for, and the words that these are of.
#pragma once
#include <nlohmann/json_fwd.hpp>

#include "launch/text/tokenizer.hpp"

namespace trireme::launch::text {

/// {"pieces": [text, ...], "pairs": [text, ...] or [], "longest": N}: returns {"pieces":
/// [{"tokens", "texts", "places", "words"}, ...]}: by token its id, what stands for it (the blanks
/// before it included; its own name if it is a special one) and the place of its word, -1 for a
/// special one; and the words, which blanks divide, those of the second text behind those of the
/// first. A text of more than N tokens has its first window. Throws InputError as the tokenizer
/// does.
nlohmann::json pieces_of(nlohmann::json const& request, Tokenizer const& tokenizer);

} // namespace trireme::launch::text
