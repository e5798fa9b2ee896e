#include "cluster/kernel_files.hpp"

#include <filesystem>
#include <fstream>

namespace trireme::cluster {

std::string first_line(std::string const& path) {
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    return line;
}

std::string field_of(std::string const& path, std::string const& key) {
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) {
        auto const colon = line.find(':');
        if (!line.starts_with(key) || colon == std::string::npos) continue;
        auto const start = line.find_first_not_of(" \t", colon + 1);
        return start == std::string::npos ? "" : line.substr(start);
    }
    return "";
}

std::vector<std::string> control_groups() {
    std::string const line = first_line("/proc/self/cgroup"); // "0::/slice/job"
    if (!line.starts_with("0::")) return {};
    std::vector<std::string> folders;
    for (std::filesystem::path path = line.substr(3);; path = path.parent_path()) {
        folders.push_back("/sys/fs/cgroup" + (path == "/" ? "" : path.string()));
        if (path == "/" || path.empty()) return folders;
    }
}

} // namespace trireme::cluster
