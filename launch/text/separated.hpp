// Rows of tables whose columns are divided by a character.
#pragma once
#include <functional>
#include <string>

#include "launch/text/rows.hpp"

namespace trireme::launch::text {

/// Calls `each` for every row. Throws InputError "FILE:LINE: what" (rows.hpp).
void read_separated(std::string const& file, char const* delimiter, Columns const& columns,
                    std::function<void(Row&&)> const& each);

} // namespace trireme::launch::text
