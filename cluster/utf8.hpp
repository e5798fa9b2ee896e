// Texts that JSON can hold.
#pragma once
#include <string_view>

namespace trireme::cluster {

/// Is it UTF-8 from end to end?
bool is_utf8(std::string_view text);

} // namespace trireme::cluster
