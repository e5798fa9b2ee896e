// Tells the kind of a file of rows by its name and its first bytes.
#pragma once
#include <cstdint>
#include <string>

namespace trireme::launch::text {

enum class FileKind : std::uint8_t { jsonl, csv, tsv };

/// The kind that the name says, in capitals too. Throws InputError for another name, and for a file
/// that is no text, whatever its name (cluster/foreign_format.hpp).
FileKind kind_of_file(std::string const& file);

/// Does the name end in ".csv", say, in small letters or capitals?
bool has_ending(std::string const& file, char const* ending);

} // namespace trireme::launch::text
