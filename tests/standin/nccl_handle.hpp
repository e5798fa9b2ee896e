// Inside of the stand-in's NCCL: a rank's handle of a communicator, and who may be in it.
#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/standin/nccl_hub.hpp"

/// One rank's handle. Kept by the tasks in flight after NCCL's caller gave it up.
struct ncclComm {
    std::shared_ptr<trireme::standin::Hub> hub;
    int rank = 0;
    std::uint64_t next = 0; ///< number of the next collective
    std::atomic<cudaStream_t> stream{nullptr};
    std::atomic<bool> aborted{false};
    std::atomic<int> in_flight{0};
    /// the thread that is in a call of this communicator
    std::atomic<std::thread::id> inside{};
    /// the thread that made the call that is in progress
    std::atomic<std::thread::id> in_progress_of{};
    std::atomic<std::chrono::steady_clock::time_point> since{};
    // Guarded by the hub's mutex.
    bool finalizing = false, counted_out = false;
    bool splitting = false; ///< its split, number `next`, is not through
    int color = 0;
    ncclComm_t* into = nullptr;
    std::vector<std::pair<int, int>> connecting; ///< senders and receivers of its last messages
};

namespace trireme::standin {

void violate(std::string what);
/// Remembers what ncclGetLastError says.
ncclResult_t refuse(ncclResult_t code, std::string why);
/// The handle that a caller names; null, and a violation, if it was freed.
std::shared_ptr<ncclComm> alive(ncclComm_t comm);
/// Returns what a call that does not block returns.
ncclResult_t in_progress(ncclComm& comm);

/// A call of one thread on a communicator. NCCL lets no two threads in at one time, and what asks
/// for the state of a call in progress completes it: two that ask at once complete it twice.
class Inside {
  public:
    explicit Inside(ncclComm& comm) : comm_(comm) {
        std::thread::id const self = std::this_thread::get_id(), caller = comm.in_progress_of;
        std::thread::id none{};
        entered_ = comm.inside.compare_exchange_strong(none, self);
        if ((!entered_ && none != self) || (caller != std::thread::id() && caller != self))
            violate("two threads call one NCCL communicator at a time");
    }
    ~Inside() {
        if (entered_) comm_.inside = std::thread::id();
    }
    Inside(Inside const&) = delete;
    Inside& operator=(Inside const&) = delete;

  private:
    ncclComm& comm_;
    bool entered_;
};

} // namespace trireme::standin
