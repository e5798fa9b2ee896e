// Tokens on a terminal.
#pragma once
#include <cstdint>
#include <string>

#include "launch/text/tokenizer.hpp"

namespace trireme::launch::text {

/// The `place`-th of a row of tokens. Those without colour are set off by a bar, so that a log
/// shows their edges too.
std::string painted(std::string const& token, std::size_t place, bool color);
/// The same, in the background: a token that is read and not trained.
std::string dimmed(std::string const& token, std::size_t place, bool color);
/// Spells a token for a terminal: control characters spelled out, so that no data set can write to
/// a terminal.
std::string shown_token(Tokenizer const& tokenizer, std::int32_t id);

} // namespace trireme::launch::text
