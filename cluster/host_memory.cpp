#include "cluster/host_memory.hpp"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "cluster/gather.hpp"
#include "cluster/host.hpp"

namespace trireme::cluster {

namespace {

std::string first_line(std::string const& path) {
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    return line;
}

/// The value behind `key` in a file of "key: value" lines (/proc/cpuinfo, /proc/meminfo); empty if
/// it is not there.
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

/// Folders of this process's control group (version 2), innermost first.
std::vector<std::string> control_groups() {
    std::string const line = first_line("/proc/self/cgroup"); // "0::/slice/job"
    if (!line.starts_with("0::")) return {};
    std::vector<std::string> folders;
    for (std::filesystem::path path = line.substr(3);; path = path.parent_path()) {
        folders.push_back("/sys/fs/cgroup" + (path == "/" ? "" : path.string()));
        if (path == "/" || path.empty()) return folders;
    }
}

} // namespace

std::int64_t memory_left() {
    std::int64_t left = std::atoll(field_of("/proc/meminfo", "MemAvailable").c_str()) * 1024;
    for (auto const& folder : control_groups()) {
        std::string const most = first_line(folder + "/memory.max"); // a number, or "max"
        if (most.empty() || most == "max") continue;
        left = std::min<std::int64_t>(
            left,
            std::atoll(most.c_str()) - std::atoll(first_line(folder + "/memory.current").c_str()));
    }
    return left;
}

std::optional<HostDemand> host_short_of_memory(Communicator& world, std::int64_t mine, double share,
                                               std::string_view name) {
    struct Share {
        std::int64_t wanted = 0, allowed = std::numeric_limits<std::int64_t>::max();
    };
    std::vector<std::pair<std::string, Share>> hosts; // in the order of their first ranks
    auto const allowed = static_cast<std::int64_t>(share * static_cast<double>(memory_left()));
    for (auto const& line :
         all_gather_bytes(world, fmt::format("{} {} {}", mine, allowed, host_name()), name)) {
        std::istringstream words(line);
        std::int64_t wanted = 0, left = 0;
        std::string host;
        words >> wanted >> left >> host;
        auto const known = std::ranges::find(hosts, host, &std::pair<std::string, Share>::first);
        auto& sum = known == hosts.end() ? hosts.emplace_back(host, Share{}).second : known->second;
        sum.wanted += wanted;
        sum.allowed = std::min(sum.allowed, left);
    }
    for (auto const& [host, sum] : hosts)
        if (sum.wanted > sum.allowed) return HostDemand{host, sum.wanted, sum.allowed};
    return std::nullopt;
}

std::int64_t peak_memory() {
    struct rusage used {};
    getrusage(RUSAGE_SELF, &used);
    return std::int64_t{used.ru_maxrss} * 1024;
}

} // namespace trireme::cluster
