// Collectives on bytes among the processes of one group.
//
// Public calls handle groups of one, check arguments, number and trace the call, and set its
// deadline, once for every back end; they are not virtual, but for the one that faults of tests
// strike (cluster/faulty_communicator.hpp). A back end implements the `do_` functions; to
// do_collective each call comes as a value. Every call is collective over the group and must be
// entered by all members in the same order. `name` says what the call is for
// ("grad/model.layers.3"), and is what a hang report shows; it must be the same on all members.
#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/buffer.hpp"
#include "cluster/error.hpp"
#include "cluster/work.hpp"

namespace trireme::cluster {

enum class ReduceOp : std::uint8_t { sum, max, min };
enum class Collective : std::uint8_t {
    all_reduce,
    all_gather,
    reduce_scatter,
    all_to_all,
    broadcast,
    exchange,
    barrier,
    split
};
char const* name_of(Collective op);

/// One message of an `exchange`: `buffer` goes to or comes from `peer` (rank in the group).
struct Message {
    enum class Kind : std::uint8_t { send, receive } kind;
    int peer;
    Buffer buffer;
};

/// One call as a back end gets it: arguments that were checked, in a group of two or more. A call
/// leaves alone what it does not need. Where it is in place, `in` and `out` are the same.
struct Call {
    Collective op; ///< never split
    Buffer in = {}, out = {};
    ReduceOp reduce = ReduceOp::sum;
    int root = 0;
    std::span<std::size_t const> send_counts = {}, receive_counts = {};
    std::span<Message const> messages = {}; ///< not empty
};

/// Describes one call; handed to observers (traffic counts, flight record) when the call
/// starts.
struct CallRecord {
    std::uint64_t sequence; ///< number of this call in this group, from 0, the same on all members
    Collective op;
    std::string_view name;
    DType dtype;
    std::size_t count; ///< elements of this rank's input
    /// bytes this rank sends in a bandwidth-optimal algorithm (docs/collectives.md)
    std::size_t bytes_on_wire;
};

/// Sees every call of every group made from a communicator and its splits. Must not communicate.
class CallObserver {
  public:
    virtual ~CallObserver() = default;
    virtual void on_start(std::string_view group, CallRecord const& call) = 0;
    /// The host has waited for the call, or has handed it to a stream (Work::wait).
    virtual void on_finish(std::string_view group, std::uint64_t sequence) = 0;
};

struct CommunicatorOptions {
    /// for each call, from its start until its Work is waited for
    std::chrono::milliseconds deadline{600'000};
    /// largest count handed to one library call; small in tests
    std::size_t chunk_bytes = std::size_t{1} << 30;
    std::shared_ptr<CallObserver> observer;
};

class Communicator {
  public:
    virtual ~Communicator() = default; ///< frees, never communicates
    Communicator(Communicator const&) = delete;
    Communicator& operator=(Communicator const&) = delete;

    int rank() const { return rank_; }
    int size() const { return size_; }
    std::string const& group() const {
        return group_;
    } ///< name of the group, "world" or as given to split
    std::uint64_t calls() const { return sequence_; }
    /// Sets the deadline of later calls of this group and of groups split from it later. Local;
    /// must be the same on all members.
    void set_deadline(std::chrono::milliseconds deadline) { options_.deadline = deadline; }
    /// Sets the observer of the same calls; null means none. Local.
    void set_observer(std::shared_ptr<CallObserver> observer) {
        options_.observer = std::move(observer);
    }

    /// In place. Floating sums of bf16 accumulate in float32 and are rounded once.
    [[nodiscard]] virtual Work all_reduce(Buffer inout, ReduceOp op, std::string_view name);
    /// out.count == size * in.count; in may be the rank's own slice of out.
    [[nodiscard]] Work all_gather(Buffer in, Buffer out, std::string_view name);
    /// in.count == size * out.count. The order of the sum is the back end's own.
    [[nodiscard]] Work reduce_scatter(Buffer in, Buffer out, ReduceOp op, std::string_view name);
    /// Piece i of `in` (send_counts[i] elements, packed one after another) goes to rank i; likewise
    /// `out`.
    [[nodiscard]] Work all_to_all(Buffer in, std::span<std::size_t const> send_counts, Buffer out,
                                  std::span<std::size_t const> receive_counts,
                                  std::string_view name);
    [[nodiscard]] Work broadcast(Buffer inout, int root, std::string_view name);
    /// One batch of sends and receives that progress together, so that no order of them can
    /// deadlock. Members that take part in no message do not call it; messages between two ranks
    /// match in order.
    [[nodiscard]] Work exchange(std::span<Message const> messages, std::string_view name);
    /// Returns when every member has entered.
    void barrier(std::string_view name);
    /// Members with one `color` form a group, ordered by `key`. Collective over this group. `group`
    /// names the result.
    std::unique_ptr<Communicator> split(int color, int key, std::string_view group);
    /// Ends the whole job at once with `code`, without collectives. Logs rank@host and `reason`
    /// first.
    [[noreturn]] void abort(std::string_view reason, int code = kFailed);

  protected:
    Communicator(int rank, int size, std::string group, CommunicatorOptions options);
    CommunicatorOptions const& options() const { return options_; }

  private:
    friend class FaultyCommunicator; ///< hands the `do_` calls of one on to another

    /// A group of one: `out` becomes `in`. Also called with both the same, since a device orders
    /// streams even then.
    virtual std::unique_ptr<Operation> do_alone(Buffer in, Buffer out);
    /// Starts the call, or completes it and returns null.
    virtual std::unique_ptr<Operation> do_collective(Call const& call) = 0;
    virtual std::unique_ptr<Communicator> do_split(int color, int key, std::string group,
                                                   CommunicatorOptions options) = 0;
    virtual void do_abort(int code) = 0;

    /// Numbers and traces a call; `begin` makes the operation, or returns null when it is complete
    /// already.
    template <typename Begin>
    Work start(CallRecord record, Begin const& begin);
    /// Numbers, traces and begins `call`; `bytes_on_wire`: of its record.
    Work start(Call const& call, std::string_view name, std::size_t bytes_on_wire);

    int rank_;
    int size_;
    std::string group_;
    CommunicatorOptions options_;
    std::uint64_t sequence_ = 0;
};

} // namespace trireme::cluster
