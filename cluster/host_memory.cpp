#include "cluster/host_memory.hpp"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "cluster/gather.hpp"
#include "cluster/host.hpp"
#include "cluster/kernel_files.hpp"

namespace trireme::cluster {

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

namespace {

/// Memory of a host, in bytes: what its ranks want together, and the least that one of them allows.
struct Share {
    std::int64_t wanted = 0, allowed = std::numeric_limits<std::int64_t>::max();
};
using Hosts = std::vector<std::pair<std::string, Share>>; // in the order of their first ranks

/// Adds what a rank wants, as "WANTED ALLOWED HOST".
void add_rank(Hosts& hosts, std::string const& line) {
    std::istringstream words(line);
    std::int64_t wanted = 0, left = 0;
    std::string host;
    words >> wanted >> left >> host;
    auto const known = std::ranges::find(hosts, host, &Hosts::value_type::first);
    auto& sum = known == hosts.end() ? hosts.emplace_back(host, Share{}).second : known->second;
    sum.wanted += wanted;
    sum.allowed = std::min(sum.allowed, left);
}

} // namespace

std::optional<HostDemand> host_short_of_memory(Communicator& world, std::int64_t mine, double share,
                                               std::string_view name) {
    Hosts hosts;
    auto const allowed = static_cast<std::int64_t>(share * static_cast<double>(memory_left()));
    for (auto const& line :
         all_gather_bytes(world, fmt::format("{} {} {}", mine, allowed, host_name()), name))
        add_rank(hosts, line);
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
