// Shared by the ranks of one stand-in NCCL communicator: here their data meet.
#pragma once
#include <nccl.h>

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/standin/machine.hpp"

namespace trireme::standin {

enum class Kind { all_reduce, reduce, reduce_scatter, all_gather, broadcast, send, receive };

/// One NCCL call of one rank.
struct Call {
    Kind kind;
    void const* in;
    void* out;
    std::size_t count; ///< as given to NCCL
    ncclDataType_t type;
    ncclRedOp_t op;
    int peer; ///< or root

    bool is_message() const { return kind == Kind::send || kind == Kind::receive; }
    std::string text() const;
    Range reads(int rank, int size) const;
    Range writes(int rank, int size) const;
};
std::size_t size_of(ncclDataType_t type);

/// Members arrive with their input; when all have, each takes its result out of it.
class Hub {
  public:
    Hub(int members, std::chrono::milliseconds patience)
        : size(members), devices(static_cast<std::size_t>(members), -1), patience_(patience) {}

    /// Runs the calls of one group together, on a stream's thread, as `rank`; `numbers` are those
    /// of its collectives. Leaves outputs poisoned when `aborted` turns true, and until
    /// `may_write`.
    void run(std::vector<Call> const& calls, std::vector<std::uint64_t> const& numbers, int rank,
             std::atomic<bool> const& aborted, std::function<void()> const& pause,
             std::function<bool()> const& may_write);
    /// A task of `rank` is on a stream: it runs, but for its outputs, as soon as a peer waits for
    /// it.
    void queued(int rank, CUstream_st* stream, std::size_t task);
    void fail(std::string what); ///< `mutex` held
    void wake() { changed_.notify_all(); }

    struct Member {
        int color, key, rank;
    };
    struct Split {
        std::vector<Member> members;
        std::map<int, std::shared_ptr<Hub>> made; ///< by color
    };

    int const size;
    std::mutex mutex; ///< guards all below
    std::string failure;
    std::vector<int> devices; ///< by rank; -1 until it has come
    int joined = 0, leaving = 0;
    /// Which of sender and receiver have posted a first message.
    std::map<std::pair<int, int>, std::array<bool, 2>> links;
    std::map<std::uint64_t, Split> splits; ///< by number of the collective

  private:
    using Bytes = std::vector<std::byte>;
    struct Meeting {
        std::vector<std::optional<Bytes>> inputs;
        std::string what;
        int arrived = 0, left = 0;
    };
    struct Letter {
        Bytes bytes;
        std::string what;
        bool taken = false;
    };
    struct Pending;
    void post(Pending& pending, int rank);
    bool finish(Pending& pending, int rank);

    std::chrono::milliseconds patience_;
    std::condition_variable changed_;
    std::map<int, std::pair<CUstream_st*, std::size_t>> last_queued_; ///< by rank
    int waiting_ = 0;
    std::map<std::uint64_t, Meeting> meetings_;
    std::map<std::pair<int, int>, std::deque<std::shared_ptr<Letter>>> mail_; ///< (from, to)
};

} // namespace trireme::standin
