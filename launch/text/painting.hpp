// Tokens on a terminal.
#pragma once
#include <cstdint>
#include <string>

#include "launch/text/tokenizer.hpp"

namespace trireme::launch::text {

/// Paints the `place`-th of a row of tokens. Without colour a bar sets it off, so that a log shows
/// its edges too.
std::string painted(std::string const& token, std::size_t place, bool color);
/// Paints a token that is read and not trained, in a dimmer colour.
std::string dimmed(std::string const& token, std::size_t place, bool color);
/// Paints a token in the colour of `kind`.
std::string tinted(std::string const& token, std::size_t place, std::string const& kind,
                   bool color);
/// Spells a token for a terminal as the text that it stands for, with the space in front of a word,
/// where the tokenizer's files write bytes (Ġ, Ċ) or pieces (▁); bytes that are no whole character
/// as \\xNN. Control characters are spelled out, so that no data set can write to a terminal.
std::string shown_token(Tokenizer const& tokenizer, std::int32_t id);

} // namespace trireme::launch::text
