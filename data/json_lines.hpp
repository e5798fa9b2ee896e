// Files with a JSON object in each line.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace trireme::data {

/// Throws InputError for a first line that opens a document instead: a list of all rows, or an
/// object over several lines.
void refuse_document(std::string const& path, std::string_view first_line, std::int64_t number);

} // namespace trireme::data
