// Memory of the host that this process may still take.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "cluster/communicator.hpp"

namespace trireme::cluster {

/// Bytes: what the kernel calls available, or what the control groups of this process (version 2)
/// leave if that is less. Local; other processes of the host draw on the same.
std::int64_t memory_left();

struct HostDemand {
    std::string host;
    std::int64_t wanted = 0, allowed = 0; ///< bytes
};
/// Returns the first host whose ranks together want more than `share` of the memory that is left
/// there; each rank wants `mine` bytes. The same on every rank. Collective.
std::optional<HostDemand> host_short_of_memory(Communicator& world, std::int64_t mine, double share,
                                               std::string_view name);

/// Bytes of this process that were in memory at most, so far. Local.
std::int64_t peak_memory();

} // namespace trireme::cluster
