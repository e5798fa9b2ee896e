// Results on their way back from the device while the host goes on.
#pragma once
#include <chrono>
#include <cstddef>
#include <span>

#include "cluster/device.hpp"

namespace trireme::cluster {

/// Pinned memory for one result of up to `bytes` at a time, written by `stream`, which must outlive
/// it. For each result: send, then, once, read. One thread. The host waits in read() and, for a
/// result that nobody reads, in the destructor, by polling. Calls out of order throw JobError.
class CopyBack {
  public:
    CopyBack(std::size_t bytes, void* stream, std::chrono::milliseconds deadline);
    ~CopyBack();
    CopyBack(CopyBack const&) = delete;
    CopyBack& operator=(CopyBack const&) = delete;

    /// Queues the copy of device memory behind what the stream holds; it may go in the order of the
    /// stream.
    void send(void const* device, std::size_t bytes);
    /// Returns what was sent; the bytes stay valid until the next send. Throws JobError past the
    /// deadline.
    std::span<std::byte const> read();

  private:
    std::size_t bytes_;
    void* stream_;
    std::chrono::milliseconds deadline_;
    PinnedMemory pinned_;
    Event copied_;
    std::size_t sent_ = 0; ///< bytes on their way; 0: none
};

} // namespace trireme::cluster
