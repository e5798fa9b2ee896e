// A machine with GPUs that are threads: the stand-in for CUDA's runtime and NCCL
// (tests/standin/include). For tests only.
//
// Each stream is a thread that runs its queue with random pauses. Memory is filled with NaN
// patterns when it is allocated, when it is freed and from the start of the work that writes it to
// its end. Every queued access is checked against all earlier ones (order.hpp): an access that no
// event orders is a violation, whether or not it went wrong in this run. Stricter than CUDA: the
// default stream, copies from pageable memory and calls that synchronise in passing do not exist,
// and a thread that has not chosen its device is a violation, since CUDA makes it a context on
// device 0.
#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/standin/order.hpp"

namespace trireme::standin {

struct Options {
    int devices = 1;
    std::uint64_t seed = 1;
    int longest_pause = 100;          ///< microseconds before a piece of work of a stream
    bool ranks_share_devices = false; ///< what NCCL refuses by default
    /// a stream runs no further than something waits for: what is not waited for has not happened
    bool lazy = false;
    /// a call of NCCL's that does not block is in progress for at least so long
    std::chrono::milliseconds settling{0};
    /// the orderings of these numbers are not done (count_orderings)
    std::set<std::size_t> drop;
    std::optional<std::string> drop_all; ///< all orderings of this name are not done
    /// a collective whose peers stay away for longer is a violation
    std::chrono::milliseconds patience{20'000};
};

/// The one machine of the process while it lives. Streams have drained when its destructor returns.
class Machine {
  public:
    explicit Machine(Options const& options);
    ~Machine();
    Machine(Machine const&) = delete;
    Machine& operator=(Machine const&) = delete;

    /// Waits for all streams.
    void drain();
    std::vector<std::string> violations() const;
    /// Orderings of the counted thread so far, each with what it was: waits of streams for events,
    /// records of events, and waits of the host (the first look at a record, by query or
    /// synchronisation). After the name of a place, if one was given, where the event was recorded:
    /// "data all_reduce: record of event".
    std::vector<std::string> orderings() const;
    /// Calls that block the host, by any thread: cudaStreamSynchronize, cudaEventSynchronize,
    /// cudaDeviceSynchronize.
    std::size_t synchronisations() const;
    /// Calls of ncclCommAbort.
    std::size_t aborts() const;
};

/// Counts what the calling thread has done so far that stops it, or would if the device had not
/// finished.
struct HostCalls {
    std::size_t blocking =
        /// those above, and what allocates or frees pinned memory: CUDA waits for the device there
        0;
    std::size_t queries = 0; ///< of events: how Trireme waits on the host
    bool operator==(HostCalls const&) const = default;
};
HostCalls host_calls();

/// The calling thread's orderings are counted, and those to drop are dropped there.
void count_orderings();
/// Assigns what the calling thread does from now on to this place in the program; "": to none.
void at_place(std::string name);

/// The stand-in for a kernel: `body` runs on `stream`, and reads and writes no more than it says.
void launch(void* stream, std::string const& name, std::vector<Range> const& reads,
            std::vector<Range> const& writes, std::function<void()> body);

/// Makes the calling thread do from now on what the kernels of `stream` would, one after another,
/// as with CUDA_LAUNCH_BLOCKING: work queued there is done, and events that it waits for are
/// reached, when the call returns. But a copy from there arrives in pinned memory only when the
/// host has seen an event after it; and what the thread has copied from pinned memory, on any
/// stream, it is taken to have written just before.
void compute_on(void* stream);

/// The calling thread has just done what a kernel of that stream would. Checked like any other
/// work; ranges that are not the machine's memory are the host's own and are left aside.
void computed(void* stream, std::string const& name, std::vector<Range> const& reads,
              std::vector<Range> const& writes);

/// While one lives, nothing that is recorded from now on is ever reached in the eyes of the calling
/// thread: a wait of the host for it would not end. One at a time.
class BlindHost {
  public:
    BlindHost();
    ~BlindHost();
    BlindHost(BlindHost const&) = delete;
    BlindHost& operator=(BlindHost const&) = delete;
};

/// The host itself touches pinned memory.
void host_access(Range range, bool write);

} // namespace trireme::standin
