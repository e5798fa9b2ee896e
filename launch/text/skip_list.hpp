// Rows that `prepare --skip-list` leaves out.
#pragma once
#include <cstdint>
#include <map>
#include <set>
#include <string>

namespace trireme::launch::text {

/// Lines by the name of their file, as manifests have it.
using SkipList = std::map<std::string, std::set<std::int64_t>>;

/// Reads lines of FILE:LINE; what stands behind a tab, empty lines and lines that begin with # are
/// for people. Throws InputError "PATH:LINE: TEXT: legal: ...".
SkipList read_skip_list(std::string const& path);

/// The name by which data know a file: as it was given. JSON holds UTF-8 alone: bytes of another
/// name are spelled out, as messages have them.
std::string source_name(std::string const& file);

/// Throws InputError unless `skipped` rows are as many as the list at `path` has.
void check_all_skipped(SkipList const& list, std::int64_t skipped, std::string const& path);

} // namespace trireme::launch::text
