// Rows of Parquet and Arrow files, through pyarrow.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "launch/text/file_kind.hpp"
#include "launch/text/rows.hpp"

namespace trireme::launch::text {

/// Calls `each` for every row: of a .parquet, and of an .arrow or .feather, be it a file or a
/// stream as `datasets` saves it. Only columns that are asked for are read, a batch of records at a
/// time. Row::line counts rows from 1. Throws InputError "FILE: what" or "FILE:ROW: what".
void read_columnar(std::string const& file, NamedKind kind, Columns const& columns,
                   std::function<void(Row&&)> const& each);

/// Names of the columns of such a file. Throws InputError.
std::vector<std::string> schema_names(std::string const& file, NamedKind kind);

} // namespace trireme::launch::text
