// Tells the kind of a file of rows by its name and its first bytes.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

namespace trireme::launch::text {

enum class FileKind : std::uint8_t { jsonl, csv, tsv, text, parquet, arrow };
enum class Packing : std::uint8_t { none, gzip, zstd };

struct NamedKind {
    FileKind kind;
    Packing packing = Packing::none;
};

/// Lists the endings of names that are legal, for messages.
inline constexpr char const* kLegalNames =
    "a name that ends in .jsonl, .csv, .tsv, .txt, .parquet, .arrow or .feather, or in one of them "
    "and .gz or .zst";

/// The kind that a name says, in capitals too; none if it says none.
std::optional<NamedKind> kind_of_name(std::string const& file);
/// Returns the kind that a name says. Throws InputError for another name, and for a file that is
/// something else than its name says (cluster/foreign_format.hpp).
NamedKind kind_of_file(std::string const& file);
/// Does the name say this kind, packed or not?
bool is_named(std::string const& file, FileKind kind);

/// Does the name end in ".json", say, in small letters or capitals?
bool has_ending(std::string const& file, char const* ending);

} // namespace trireme::launch::text
