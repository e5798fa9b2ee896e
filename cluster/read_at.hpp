// Bytes at a place of an open file, all of them. Local.
#pragma once
#include <cstdint>

namespace trireme::cluster {

/// Reads `bytes` from `at` on, whatever interrupts. Returns how many are there: fewer only where
/// the file ends before them; -1 with errno if they cannot be read.
std::int64_t read_at(int descriptor, void* to, std::int64_t at, std::int64_t bytes);

} // namespace trireme::cluster
