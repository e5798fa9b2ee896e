// Batches on their way to the device ahead of their use: the host fills pinned memory, a side
// stream copies it, and the stream that uses a batch waits for its copy on the device.
#pragma once
#include <chrono>
#include <cstddef>
#include <deque>
#include <span>

#include "cluster/device.hpp"

namespace trireme::cluster {

/// A ring of `depth` batches of up to `bytes` each, for one stream, the reader, which must outlive
/// it. For each batch, in this order:
///   stage()   its pinned memory, to be filled until send();
///   send()    the copy is queued;
///   take()    its device memory, for work queued on the reader from now on;
///   done()    the last work that reads it has been queued: after that work it may be overwritten.
/// Up to `depth` batches may be sent and not yet done, so that a copy runs behind the steps before
/// it. One thread. The host waits in two places only: in stage(), by polling, if the copy from the
/// same pinned memory `depth` batches ago is still not through (stalls() counts those), and in the
/// destructor, for the last copy. Calls out of order throw JobError.
class CopyAhead {
  public:
    CopyAhead(std::size_t bytes, int depth, void* reader, std::chrono::milliseconds deadline);
    ~CopyAhead();
    CopyAhead(CopyAhead const&) = delete;
    CopyAhead& operator=(CopyAhead const&) = delete;

    std::span<std::byte> stage();
    void send();
    void const* take();
    void done();
    std::size_t stalls() const { return stalls_; }

  private:
    struct Slot {
        Slot(std::size_t bytes, void* stream) : pinned(bytes), device(bytes, stream) {}
        PinnedMemory pinned;
        DeviceMemory device;
        Event copied, read;
        bool sent_before = false;
    };
    Slot& slot(std::size_t number) { return slots_[number % slots_.size()]; }

    std::size_t bytes_;
    void* reader_;
    std::chrono::milliseconds deadline_;
    Stream side_; ///< before the slots: their memory is freed in its order
    std::deque<Slot> slots_;
    std::size_t sent_ = 0, taken_ = 0, done_ = 0; ///< batches so far
    std::size_t stalls_ = 0;
};

} // namespace trireme::cluster
