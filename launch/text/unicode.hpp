// Texts by Unicode's rules. Needs a running Python interpreter.
#pragma once
#include <string>

namespace trireme::launch::text {

/// Text in lower case by Unicode's rules.
std::string lower(std::string const& text);
/// Text in Unicode's composed form (NFC), without marks of no width and blanks around it and with
/// one space for those inside.
std::string squeezed(std::string const& text);

} // namespace trireme::launch::text
