// Rows of tables whose columns are divided by a character.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "launch/text/file_kind.hpp"
#include "launch/text/rows.hpp"

namespace trireme::launch::text {

/// Describes the beginning of a table, which decides how the rest of it is read.
struct Header {
    char delimiter = ',';
    char const* divided_by = "commas"; ///< its name in the plural
    bool marked = false;               ///< a mark of byte order stands before it
};

/// Finds the character that divides the columns of a .csv, by which its header has most of the
/// columns that are asked for; a comma where none has more. A .tsv has tabs.
Header header_of(std::string const& file, NamedKind kind, Columns const& columns);

/// Names of the columns, divided by the character that divides most of them. Throws InputError.
std::vector<std::string> header_names(std::string const& file, NamedKind kind);

/// Calls `each` for every row. Throws InputError "FILE:LINE: what" (rows.hpp).
void read_separated(std::string const& file, NamedKind kind, Columns const& columns,
                    std::function<void(Row&&)> const& each);

} // namespace trireme::launch::text
