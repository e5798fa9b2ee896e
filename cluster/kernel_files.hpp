// Readers of the text files in which the kernel describes this host and process. Local.
#pragma once
#include <string>
#include <vector>

namespace trireme::cluster {

/// Empty if the file cannot be read.
std::string first_line(std::string const& path);

/// The value behind `key` in a file of "key: value" lines (/proc/cpuinfo, /proc/meminfo); empty if
/// it is not there.
std::string field_of(std::string const& path, std::string const& key);

/// Folders of this process's control group (version 2), innermost first; none without one.
std::vector<std::string> control_groups();

} // namespace trireme::cluster
