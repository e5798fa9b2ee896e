// Inside of the stand-in: what its CUDA half and its NCCL half share.
#pragma once
#include <cuda_runtime.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <new>
#include <random>
#include <thread>

#include "tests/standin/machine.hpp"

/// A stream: a thread and its queue.
struct CUstream_st {
    explicit CUstream_st(std::uint64_t seed) : random(seed), thread([this] { run(); }) {}
    /// Returns the number of the task, for `permit`.
    std::size_t push(std::function<void()> task);
    // Lazy streams run up to what is waited for. What only peers of a collective wait for runs too,
    // but for its outputs.
    void permit(std::size_t task);
    void demand(std::size_t task); ///< by a peer
    bool is_permitted(std::size_t task);
    std::size_t next_task(); ///< the number that the next push returns
    void drain();
    void close(); ///< after what is queued
    void pause();

    int timeline = 0;
    int longest_pause = 0;
    bool destroyed = false;
    bool by_host = false; ///< compute_on
    std::size_t permitted = kAll, demanded = 0;
    struct Copy {
        std::size_t task; ///< its number
        void* to;
        std::vector<std::byte> bytes;
    };
    /// of by_host to pinned memory: there once the host has seen an event after it
    std::vector<Copy> underway;
    static constexpr std::size_t kAll = static_cast<std::size_t>(-1);

  private:
    void run();
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<std::function<void()>> queue;
    std::size_t pushed = 0, started = 0;
    bool closing = false, busy = false;
    std::mt19937_64 random;
    std::thread thread; ///< last: it uses the others
};

struct CUevent_st {
    trireme::standin::Clock clock;
    std::shared_ptr<std::atomic<bool>> reached; ///< null until recorded
    CUstream_st* stream = nullptr;              ///< of the record
    std::size_t task = 0;                       ///< its number there
    std::uint64_t number = 0;                   ///< of the record, among all
    std::string place;                          ///< of the record, in the program
    bool looked_at = false;                     ///< by the counted thread, since it was recorded
    /// the host's wait for this record is one to drop
    bool ignored = false;
};

namespace trireme::standin {

constexpr std::align_val_t kAlignment{256}; ///< as cudaMalloc's
struct Free {
    void operator()(std::byte* memory) const { ::operator delete(memory, kAlignment); }
};
struct Allocation {
    std::unique_ptr<std::byte, Free> bytes;
    std::size_t size;
    bool pinned, freed = false;
};

struct State {
    explicit State(Options const& o) : options(o) {}

    Options const options;
    std::mutex mutex; ///< guards all below, and what events hold
    Order order;
    std::vector<std::unique_ptr<CUstream_st>> streams;
    std::vector<std::unique_ptr<CUevent_st>> events;
    /// kept until the machine goes, so that a late write hits no one else
    std::map<void*, Allocation> memory;
    std::vector<std::string> orderings;
    std::uint64_t records = 0; ///< of events so far
    std::atomic<std::size_t> synchronisations{0}, aborts{0};

    /// Counts an ordering of the calling thread; false if it is one to drop. `mutex` held.
    bool ordering(std::string const& what, std::string const& place);
    /// Does so for the host's first look at a record. `mutex` held.
    void look(CUevent_st& event);
    /// Orders `stream` after the calling thread and starts a new piece of work on it. `mutex` held.
    void begin_work(CUstream_st& stream);
    bool is_alive(CUstream_st const* stream);
    bool is_pinned(void const* address) const; ///< `mutex` held
    /// Complains of a calling thread without a device. `mutex` held.
    void require_device();
};

/// The machine that lives. Aborts if there is none.
State& state();
/// The calling thread's timeline and current device. `mutex` held.
int host_timeline();
int current_device();
void set_current_device(int device);
HostCalls& calls_of_host();
std::string const& place(); ///< of the calling thread
/// Whether the calling thread does not see the event, and whether it makes lazy streams run by
/// asking for them.
bool is_blind_to(CUevent_st const& event);
bool is_rank();

/// Copies of a stream of compute_on, up to that task, arrive in pinned memory. `mutex` held.
void arrive(CUstream_st& stream, std::size_t task);

/// Checks the accesses and queues `body`, with outputs poisoned from its start unless they are
/// inputs too.
cudaError_t queue_work(cudaStream_t stream, std::string const& name,
                       std::vector<Range> const& reads, std::vector<Range> const& writes,
                       std::function<void()> body);
void poison(void* memory, std::size_t bytes);

} // namespace trireme::standin
