// Pinned memory of the guarded device, and copies to it that the device has not made yet. As on a
// GPU a copy without a wait is queued, and has happened once the host has waited for the device.
// Until then the memory cannot be touched.
#pragma once
#include <cstddef>
#include <vector>

namespace trireme::test::pinned {

void* allocate(std::size_t bytes);
void release(void* memory);
bool holds(void const* address);

/// The calling thread's device will have copied this.
void queue_copy(void* to, std::vector<std::byte> bytes);
/// Returns what the calling thread's device reads, after all that it was given before.
std::vector<std::byte> read_in_order(void const* from, std::size_t bytes);
/// Whether a copy to this memory is queued: the host would see what was there before.
bool is_stale(void const* address);
/// The calling thread waits for its device.
void arrive();
/// Copies queued so far, of this process.
std::size_t copies_queued();

} // namespace trireme::test::pinned
