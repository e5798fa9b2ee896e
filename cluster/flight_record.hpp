// The flight record of a rank: who it is, where it is and what it last called, in one block of
// fixed size that lives in RUN/flight/rank-NNNNN, mapped into memory. What the process stored is in
// the file even after kill -9 (of the process; a node that loses power loses what it had not
// written back). Writing costs a copy of 100 bytes a call and no system call. A reader takes the
// file as it is.
//
// [Note: who is where] The recorder is one per process, like the process id it records: code that
// says where it is (`enter_phase`) should not have to be handed one. Without a recorder the
// functions at the end do nothing but fire faults, so that ranks as threads and tools without MPI
// may call them.
#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/flight.hpp"
#include "cluster/wait_observer.hpp"

namespace trireme::cluster {

/// Hashes of calls that a rank tells the next member of a group, so that both can compare.
struct CallHashes {
    std::uint64_t first = 0;           ///< ordinal of the first
    std::vector<std::uint32_t> hashes; ///< one for each call and all before it
};

class FlightRecorder : public WaitObserver {
  public:
    /// Keeps the record in memory only. `rank` and `size` are those of the world.
    FlightRecorder(int rank, int size);
    ~FlightRecorder() override; ///< local
    FlightRecorder(FlightRecorder const&) = delete;
    FlightRecorder& operator=(FlightRecorder const&) = delete;

    /// Keeps the record in RUN/flight/rank-NNNNN from now on, which must not be another's: rank 0
    /// empties the folder first, `job` is the same on all ranks. Throws InputError if that cannot
    /// be. Local.
    void keep_in(std::string const& run_folder, std::int64_t job);

    // The thread that computes calls these.
    void on_messages(std::string_view group, std::span<Message const> messages) override;
    void on_start(std::string_view group, CallRecord const& call) override;
    void on_wait(std::string_view group, std::uint64_t sequence) override;
    void on_finish(std::string_view group, std::uint64_t sequence) override;
    void on_deadline(std::string_view group, std::uint64_t sequence) override;
    void on_group(std::string_view group, std::span<int const> world_ranks) override;
    /// Is told of the same calls, from now on; null: nobody. It must not be gone before another is
    /// set.
    void set_listener(WaitObserver* listener) { listener_ = listener; }
    /// World ranks of the members of a group of this process, by their rank in it; empty: not
    /// known.
    std::vector<int> members(std::string_view group) const;
    void enter_phase(std::string_view phase);
    void enter_step(std::int64_t step);
    void end(FlightEnd how, int exit_code, std::string_view error);
    void set_deadline(std::chrono::milliseconds deadline) { deadline_ms_ = deadline.count(); }
    std::chrono::milliseconds deadline() const { return std::chrono::milliseconds(deadline_ms_); }
    void asked_to_end() noexcept;

    // The watch calls these.
    /// Sets what on_deadline calls; null: nothing.
    void set_deadline_action(std::function<void()> action);
    Flight snapshot() const;
    void beat();
    /// Lets the thread that computes make no further call: what is on record stays until the job is
    /// ended.
    void freeze() { frozen_ = true; }
    int rank() const; ///< of the world
    /// Names the folder of keep_in; "" before it.
    std::string run_folder() const;
    /// Returns the seconds that the oldest call in flight has taken; 0: there is none.
    double oldest_call() const;
    /// Hashes of the calls of group number `group` that all members enter, from ordinal `first` on,
    /// as far as kept.
    CallHashes hashes(std::size_t group, std::uint64_t first) const;
    std::size_t group_count() const;
    /// Number of a group that was told by on_group.
    std::optional<std::size_t> find_group(std::string_view name) const;
    FlightGroup group_facts(std::size_t group) const; ///< without its calls

  private:
    struct Block;
    struct Trace { ///< of one group, not in the file
        std::map<int, std::uint64_t> sent, received;
        std::vector<int> members;
        std::vector<std::uint32_t> hashes; ///< a ring
        std::optional<Message> message;
    };
    std::optional<std::size_t> slot(std::string_view group);
    FlightCall* find(std::string_view group, std::uint64_t sequence);

    mutable std::mutex mutex_;
    Block* block_ = nullptr;
    std::vector<Trace> traces_;
    std::function<void()> deadline_action_;
    WaitObserver* listener_ = nullptr; ///< of the thread that computes
    std::atomic<std::int64_t> deadline_ms_ = 600'000;
    std::atomic<bool> frozen_ = false;
    std::string run_folder_;
};

/// The recorder of this process: the last one made, none after its end. Local.
FlightRecorder* flight_recorder();

/// Notes that a signal asked this process to end. Is safe in a handler, on any thread, also while
/// the recorder ends.
void note_request_to_end() noexcept;
/// Notes where this process is, as reports show it; fires the faults of that phase
/// (cluster/fault.hpp). Local, cheap.
void enter_phase(std::string_view phase);
/// Notes the step of the whole run that is about to be made.
void enter_step(std::int64_t step);
/// Limits how long a call of `world`, and of groups split from it from now on, may take. Local; the
/// same on all members.
void set_call_deadline(Communicator& world, std::chrono::milliseconds deadline);
/// Keeps the records of a job in RUN/flight from now on. Collective over `world`.
void keep_flight_records(std::string const& run_folder, Communicator& world);

} // namespace trireme::cluster
