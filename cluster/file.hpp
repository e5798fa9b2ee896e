// Files that are there whole or not at all.
#pragma once
#include <string>
#include <string_view>

namespace trireme::cluster {

/// Makes the content of a file or a folder's entries survive a power loss. Throws JobError with path and reason.
void sync_path(std::string const& path);
/// Syncs `staging`, renames it to `path`, syncs the folder. Throws JobError.
void commit_file(std::string const& staging, std::string const& path);
/// Writes `text` to `path` by way of a staging name. Throws JobError.
void write_file(std::string const& path, std::string_view text);
/// The whole file. Throws InputError if it cannot be read.
std::string read_file(std::string const& path);
/// XXH3 of 128 bits over the whole file, as hexadecimal digits. Throws InputError if it cannot be read.
std::string xxh3_of_file(std::string const& path);
/// SHA-256 of the whole file, lower-case hex, as sha256sum prints it. Throws InputError if it cannot be read.
std::string sha256_of_file(std::string const& path);

} // namespace trireme::cluster
