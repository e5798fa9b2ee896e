// Folders that users name, as their files are read: what the system refuses is bad input in one
// line.
#pragma once
#include <string>

namespace trireme::cluster {

/// Whether `path` is a folder, or a link to one. Throws InputError where that cannot be told, as in
/// a folder closed to us, in a circle of links, or for a name that is longer than the system's
/// names.
bool is_folder(std::string const& path);

} // namespace trireme::cluster
