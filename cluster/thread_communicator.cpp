#include "cluster/thread_communicator.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include "cluster/error.hpp"
#include "cluster/reduce.hpp"

namespace trireme::cluster {

namespace {

/// Holds what one rank brings to a collective; the counts are its own, as others read them later.
struct Entry {
    explicit Entry(Call const& call)
        : op(call.op), in(call.in), out(call.out), reduce(call.reduce), root(call.root),
          send_counts(call.send_counts.begin(), call.send_counts.end()),
          receive_counts(call.receive_counts.begin(), call.receive_counts.end()) {}

    Collective op;
    Buffer in, out;
    ReduceOp reduce;
    int root;
    std::vector<std::size_t> send_counts, receive_counts;
};

/// A collective of one sequence number: the last rank to arrive computes it for all.
struct Meeting {
    std::vector<std::optional<Entry>> entries;
    int arrived = 0, left = 0;
    bool complete = false;
};

using Entries = std::vector<std::optional<Entry>>;

void copy(Buffer const& from, Buffer const& to) {
    if (from.bytes() > 0 && from.data != to.data) std::memmove(to.data, from.data, from.bytes());
}

/// Inputs of all ranks, one after the other.
std::vector<std::byte> joined(Entries const& e) {
    std::size_t const each = e[0]->in.bytes();
    std::vector<std::byte> all(e.size() * each);
    for (std::size_t r = 0; r < e.size(); ++r)
        std::memcpy(all.data() + r * each, e[r]->in.data, each);
    return all;
}

void reduce(Entries const& e) {
    std::size_t const n = e.size();
    Entry const& first = *e[0];
    std::vector<std::byte> pieces = joined(e), total(first.in.bytes());
    Buffer const sum{total.data(), first.in.count, first.in.dtype};
    reduce_pieces({pieces.data(), n * first.in.count, first.in.dtype}, n, sum, first.reduce);
    bool const scatter = first.op == Collective::reduce_scatter;
    for (std::size_t r = 0; r < n; ++r)
        copy(scatter ? sum.slice(r * e[r]->out.count, e[r]->out.count) : sum, e[r]->out);
}

void exchange_all(Entries const& e) {
    for (std::size_t to = 0; to < e.size(); ++to) {
        std::size_t at = 0;
        for (std::size_t from = 0; from < e.size(); ++from) {
            std::size_t begin = 0;
            for (std::size_t k = 0; k < to; ++k) begin += e[from]->send_counts[k];
            copy(e[from]->in.slice(begin, e[from]->send_counts[to]),
                 e[to]->out.slice(at, e[to]->receive_counts[from]));
            at += e[to]->receive_counts[from];
        }
    }
}

/// Copies and sums for all ranks at once, while no rank may touch its buffers.
void compute(Entries const& e) {
    switch (e[0]->op) {
    case Collective::all_reduce:
    case Collective::reduce_scatter: reduce(e); break;
    case Collective::all_gather: {
        std::vector<std::byte> const whole = joined(e);
        for (auto const& to : e) std::memcpy(to->out.data, whole.data(), whole.size());
        break;
    }
    case Collective::broadcast:
        for (auto const& to : e) copy(e[static_cast<std::size_t>(e[0]->root)]->in, to->out);
        break;
    case Collective::all_to_all: exchange_all(e); break;
    case Collective::exchange: // does not meet
    case Collective::barrier:
    case Collective::split: break;
    }
}

/// Holds what the threads of one group share.
struct Hub {
    explicit Hub(int n) : size(n), next(static_cast<std::size_t>(n), 0) {}
    int const size;
    std::mutex mutex;
    std::map<std::uint64_t, Meeting> meetings;
    std::vector<std::uint64_t> next; ///< the number of each rank's next collective
    std::map<std::pair<int, int>, std::deque<std::vector<std::byte>>> mail; ///< (from, to)
    std::map<std::pair<std::uint64_t, int>, std::shared_ptr<Hub>> splits;   ///< (collective, color)
};

/// Set when a rank of the process failed; the others must not wait for it.
struct Failure {
    std::mutex mutex;
    std::string reason;
    void check() {
        std::lock_guard const lock(mutex);
        if (!reason.empty()) throw JobError("another rank failed: " + reason);
    }
};

class MeetingOperation : public Operation {
  public:
    MeetingOperation(std::shared_ptr<Hub> hub, std::shared_ptr<Failure> failure, int rank,
                     Entry entry)
        : hub_(std::move(hub)), failure_(std::move(failure)) {
        std::lock_guard const lock(hub_->mutex);
        number_ = hub_->next[static_cast<std::size_t>(rank)]++;
        Meeting& meeting = hub_->meetings[number_];
        meeting.entries.resize(static_cast<std::size_t>(hub_->size));
        for (auto const& other : meeting.entries)
            if (other && (other->op != entry.op || other->in.dtype != entry.in.dtype))
                throw JobError(fmt::format(
                    "mismatch at collective {}: rank {} calls {} of {}, another {} of {}", number_,
                    rank, name_of(entry.op), name_of(entry.in.dtype), name_of(other->op),
                    name_of(other->in.dtype)));
        meeting.entries[static_cast<std::size_t>(rank)] = std::move(entry);
        if (++meeting.arrived == hub_->size) {
            compute(meeting.entries);
            meeting.complete = true;
        }
    }
    bool test() override {
        failure_->check();
        std::lock_guard const lock(hub_->mutex);
        auto const found = hub_->meetings.find(number_);
        if (!found->second.complete) return false;
        if (++found->second.left == hub_->size) hub_->meetings.erase(found);
        return true;
    }

  private:
    std::shared_ptr<Hub> hub_;
    std::shared_ptr<Failure> failure_;
    std::uint64_t number_;
};

class ExchangeOperation : public Operation {
  public:
    ExchangeOperation(std::shared_ptr<Hub> hub, std::shared_ptr<Failure> failure, int rank,
                      std::span<Message const> messages)
        : hub_(std::move(hub)), failure_(std::move(failure)), rank_(rank) {
        std::lock_guard const lock(hub_->mutex);
        for (auto const& m : messages) {
            if (m.kind == Message::Kind::receive) {
                waiting_.push_back(m);
                continue;
            }
            auto const* bytes = static_cast<std::byte const*>(m.buffer.data);
            hub_->mail[{rank_, m.peer}].emplace_back(bytes, bytes + m.buffer.bytes());
        }
    }
    bool test() override {
        failure_->check();
        std::lock_guard const lock(hub_->mutex);
        while (!waiting_.empty()) {
            Message const& m = waiting_.front();
            auto& box = hub_->mail[{m.peer, rank_}];
            if (box.empty()) return false;
            if (box.front().size() != m.buffer.bytes())
                throw JobError("exchange: a message has another size than its receive");
            std::memcpy(m.buffer.data, box.front().data(), box.front().size());
            box.pop_front();
            waiting_.pop_front();
        }
        return true;
    }

  private:
    std::shared_ptr<Hub> hub_;
    std::shared_ptr<Failure> failure_;
    int rank_;
    std::deque<Message> waiting_;
};

class ThreadCommunicator : public Communicator {
  public:
    ThreadCommunicator(std::shared_ptr<Hub> hub, std::shared_ptr<Failure> failure, int rank,
                       std::string group, CommunicatorOptions options)
        : Communicator(rank, hub->size, std::move(group), std::move(options)), hub_(std::move(hub)),
          failure_(std::move(failure)) {}
    std::shared_ptr<Failure> const& failure() const { return failure_; }

  private:
    std::unique_ptr<Operation> do_collective(Call const& call) override {
        if (call.op == Collective::exchange)
            return std::make_unique<ExchangeOperation>(hub_, failure_, rank(), call.messages);
        return std::make_unique<MeetingOperation>(hub_, failure_, rank(), Entry(call));
    }
    struct Member {
        std::int64_t color, key, rank;
    };
    /// Returns the members of this rank's color in their new order.
    std::vector<Member> gather_members(int color, int key) {
        Member own{color, key, rank()};
        std::vector<Member> all(static_cast<std::size_t>(size()));
        Buffer const in{&own, 3, DType::i64}, out{all.data(), 3 * all.size(), DType::i64};
        if (size() > 1)
            all_gather(in, out, "split").wait();
        else
            all[0] = own;
        std::erase_if(all, [&](Member const& m) { return m.color != color; });
        std::ranges::stable_sort(all, {}, [](Member const& m) { return std::pair(m.key, m.rank); });
        return all;
    }
    std::unique_ptr<Communicator> do_split(int color, int key, std::string group,
                                           CommunicatorOptions options) override {
        std::uint64_t number = 0;
        {
            std::lock_guard const lock(hub_->mutex);
            number = hub_->next[static_cast<std::size_t>(rank())];
        }
        auto const all = gather_members(color, key);
        auto const me = std::ranges::find(all, rank(), &Member::rank) - all.begin();
        std::lock_guard const lock(hub_->mutex);
        auto& made = hub_->splits[{number, color}];
        if (!made || size() == 1) made = std::make_shared<Hub>(static_cast<int>(all.size()));
        return std::make_unique<ThreadCommunicator>(made, failure_, static_cast<int>(me),
                                                    std::move(group), std::move(options));
    }
    void do_abort(int code) override { std::_Exit(code); }

    std::shared_ptr<Hub> hub_;
    std::shared_ptr<Failure> failure_;
};

} // namespace

std::vector<std::unique_ptr<Communicator>> make_thread_world(int ranks,
                                                             CommunicatorOptions const& options) {
    auto const hub = std::make_shared<Hub>(ranks);
    auto const failure = std::make_shared<Failure>();
    std::vector<std::unique_ptr<Communicator>> world;
    for (int r = 0; r < ranks; ++r)
        world.push_back(std::make_unique<ThreadCommunicator>(hub, failure, r, "world", options));
    return world;
}

void run_as_threads(int ranks, std::function<void(Communicator& world)> const& body,
                    CommunicatorOptions const& options) {
    auto const world = make_thread_world(ranks, options);
    auto const failure = dynamic_cast<ThreadCommunicator&>(*world[0]).failure();
    std::exception_ptr root_cause;
    auto const run = [&](int rank) {
        try {
            body(*world[static_cast<std::size_t>(rank)]);
        } catch (std::exception const& error) {
            std::lock_guard const lock(failure->mutex);
            if (!failure->reason.empty()) return;
            failure->reason = fmt::format("rank {}: {}", rank, error.what());
            root_cause = std::current_exception();
        }
    };
    std::vector<std::thread> threads;
    for (int r = 0; r < ranks; ++r) threads.emplace_back(run, r);
    for (auto& thread : threads) thread.join();
    if (root_cause) std::rethrow_exception(root_cause);
}

} // namespace trireme::cluster
