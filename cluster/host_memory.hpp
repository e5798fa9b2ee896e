// Memory of the host that this process may still take.
#pragma once
#include <cstdint>

namespace trireme::cluster {

/// Bytes: what the kernel calls available, or what the control groups of this process (version 2) leave if that is
/// less. Local; other processes of the host draw on the same.
std::int64_t memory_left();

/// Bytes of this process that were in memory at most, so far. Local.
std::int64_t peak_memory();

} // namespace trireme::cluster
