#include "cluster/mpi_communicator.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <numeric>
#include <thread>
#include <utility>

#include "cluster/error.hpp"
#include "cluster/node_group.hpp"
#include "cluster/reduce.hpp"
#include "cluster/topology.hpp"
#include "cluster/wait_observer.hpp"

namespace trireme::cluster {

void check_mpi(int code, char const* call) {
    if (code == MPI_SUCCESS) return;
    std::array<char, MPI_MAX_ERROR_STRING> text{};
    int length = 0;
    MPI_Error_string(code, text.data(), &length);
    throw JobError(fmt::format("{}: {}", call, text.data()));
}

namespace {

/// Copies `from` to `to`, of the same size; an empty buffer may have no address.
void copy_buffer(Buffer const& from, Buffer const& to) {
    if (from.bytes() > 0) std::memcpy(to.data, from.data, from.bytes());
}

constexpr int kTag = 77;
constexpr std::chrono::seconds kAbortLimit{5};

MPI_Datatype type_of(DType dtype) {
    switch (dtype) {
    case DType::u8: return MPI_UINT8_T;
    case DType::i32: return MPI_INT32_T;
    case DType::i64: return MPI_INT64_T;
    case DType::f32: return MPI_FLOAT;
    case DType::f64: return MPI_DOUBLE;
    case DType::bf16: break; // sums of bf16 are ours (reduce.hpp)
    }
    throw JobError("MPI has no type for bf16");
}

MPI_Op op_of(ReduceOp op) {
    return op == ReduceOp::sum ? MPI_SUM : op == ReduceOp::max ? MPI_MAX : MPI_MIN;
}

/// Ranks of a communicator's members in the world. Local.
std::vector<int> world_ranks(MPI_Comm comm, int size) {
    MPI_Group members = MPI_GROUP_NULL, world = MPI_GROUP_NULL;
    check_mpi(MPI_Comm_group(comm, &members), "MPI_Comm_group");
    check_mpi(MPI_Comm_group(MPI_COMM_WORLD, &world), "MPI_Comm_group");
    std::vector<int> own(static_cast<std::size_t>(size)), in_world(own.size());
    std::iota(own.begin(), own.end(), 0);
    int const code = MPI_Group_translate_ranks(members, size, own.data(), world, in_world.data());
    MPI_Group_free(&members);
    MPI_Group_free(&world);
    check_mpi(code, "MPI_Group_translate_ranks");
    return in_world;
}

/// Requests in flight, scratch memory, and what is left to do when they are complete.
class MpiOperation : public Operation {
  public:
    explicit MpiOperation(std::shared_ptr<NodeProgress> progress)
        : progress_(std::move(progress)) {}
    bool test() override {
        progress_->drive(); // the others may wait for a call through memory
        int flag = 1;
        if (!requests.empty())
            check_mpi(MPI_Testall(static_cast<int>(requests.size()), requests.data(), &flag,
                                  MPI_STATUSES_IGNORE),
                      "MPI_Testall");
        if (flag && finish) std::exchange(finish, nullptr)();
        return flag != 0;
    }
    MPI_Request* next() { return &requests.emplace_back(MPI_REQUEST_NULL); }

    std::vector<MPI_Request> requests;
    std::vector<std::byte> scratch;
    std::vector<int> counts; ///< arrays that a collective reads until it is complete
    std::function<void()> finish;

  private:
    std::shared_ptr<NodeProgress> progress_;
};

/// The node of each rank of the world, and the calls through memory of the whole process.
struct Nodes {
    NodeSizes sizes;
    std::vector<int> of_rank;
    std::shared_ptr<NodeProgress> progress = std::make_shared<NodeProgress>();
};

class MpiCommunicator : public Communicator {
  public:
    /// Collective over `comm`, which it owns from then on. `nodes` are those of the world.
    MpiCommunicator(MPI_Comm comm, int rank, int size, std::string group,
                    CommunicatorOptions options, std::shared_ptr<Nodes const> nodes)
        : Communicator(rank, size, std::move(group), std::move(options)), comm_(comm),
          nodes_(std::move(nodes)), node_(share_memory()) {}
    ~MpiCommunicator() override { MPI_Comm_free(&comm_); }

  private:
    /// Elements of one library call.
    std::size_t chunk(Buffer const& b) const {
        return std::max<std::size_t>(1, options().chunk_bytes / size_of(b.dtype));
    }

    std::unique_ptr<NodeGroup> share_memory() const {
        std::vector<int> members;
        for (int const rank : world_ranks(comm_, size()))
            members.push_back(nodes_->of_rank[static_cast<std::size_t>(rank)]);
        return NodeGroup::make(comm_, members, nodes_->progress, nodes_->sizes);
    }

    std::unique_ptr<Operation> do_collective(Call const& call) override {
        if (node_ && node_->takes(call)) return node_->start(call);
        auto work = std::make_unique<MpiOperation>(nodes_->progress);
        switch (call.op) {
        case Collective::all_reduce: start_all_reduce(*work, call.in, call.reduce); break;
        case Collective::all_gather: start_all_gather(*work, call.in, call.out); break;
        case Collective::reduce_scatter:
            start_reduce_scatter(*work, call.in, call.out, call.reduce);
            break;
        case Collective::all_to_all:
            start_all_to_all(*work, call.in, call.send_counts, call.out, call.receive_counts);
            break;
        case Collective::broadcast: start_broadcast(*work, call.in, call.root); break;
        case Collective::exchange: start_exchange(*work, call.messages); break;
        case Collective::barrier:
            check_mpi(MPI_Ibarrier(comm_, work->next()), "MPI_Ibarrier");
            break;
        case Collective::split: break;
        }
        return work;
    }

    void start_all_reduce(MpiOperation& work, Buffer inout, ReduceOp op) const {
        if (inout.dtype == DType::bf16) {
            auto const n = static_cast<std::size_t>(size());
            work.scratch.resize(inout.bytes() * n);
            Buffer const pieces{work.scratch.data(), inout.count * n, inout.dtype};
            start_all_gather(work, inout, pieces);
            work.finish = [pieces, n, inout, op] { reduce_pieces(pieces, n, inout, op); };
            return;
        }
        for (std::size_t at = 0; at < inout.count; at += chunk(inout)) {
            Buffer const part = inout.slice(at, std::min(chunk(inout), inout.count - at));
            check_mpi(MPI_Iallreduce(MPI_IN_PLACE, part.data, static_cast<int>(part.count),
                                     type_of(part.dtype), op_of(op), comm_, work.next()),
                      "MPI_Iallreduce");
        }
    }

    /// All-to-all and a sum in rank order: faster here than MPI_Reduce_scatter_block, and it fixes
    /// the order.
    void start_reduce_scatter(MpiOperation& work, Buffer in, Buffer out, ReduceOp op) const {
        auto const n = static_cast<std::size_t>(size());
        work.scratch.resize(in.bytes());
        Buffer const pieces{work.scratch.data(), in.count, in.dtype};
        std::vector<std::size_t> const counts(n, out.count);
        start_all_to_all(work, in, counts, pieces, counts);
        work.finish = [pieces, n, out, op] { reduce_pieces(pieces, n, out, op); };
    }

    void start_broadcast(MpiOperation& work, Buffer inout, int root) const {
        for (std::size_t at = 0; at < inout.bytes(); at += options().chunk_bytes) {
            std::size_t const bytes = std::min(options().chunk_bytes, inout.bytes() - at);
            check_mpi(MPI_Ibcast(static_cast<std::byte*>(inout.data) + at, static_cast<int>(bytes),
                                 MPI_BYTE, root, comm_, work.next()),
                      "MPI_Ibcast");
        }
    }

    void start_exchange(MpiOperation& work, std::span<Message const> messages) const {
        for (auto const& m : messages)
            if (m.kind == Message::Kind::receive) receive(work, m.buffer, m.peer);
        for (auto const& m : messages)
            if (m.kind == Message::Kind::send) send(work, m.buffer, m.peer);
    }

    std::unique_ptr<Communicator> do_split(int color, int key, std::string group,
                                           CommunicatorOptions options) override {
        MPI_Comm made = MPI_COMM_NULL;
        check_mpi(MPI_Comm_split(comm_, color, key, &made), "MPI_Comm_split");
        check_mpi(MPI_Comm_set_errhandler(made, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
        int r = 0, n = 0;
        check_mpi(MPI_Comm_rank(made, &r), "MPI_Comm_rank");
        check_mpi(MPI_Comm_size(made, &n), "MPI_Comm_size");
        if (auto* const observer = dynamic_cast<WaitObserver*>(options.observer.get()))
            observer->on_group(group, world_ranks(made, n));
        return std::make_unique<MpiCommunicator>(made, r, n, std::move(group), std::move(options),
                                                 nodes_);
    }

    void do_abort(int code) override {
        // MPI_Abort asks the other nodes to end, and waits for one that does not answer for as long
        // as TCP does.
        std::thread([code] {
            std::this_thread::sleep_for(kAbortLimit);
            std::_Exit(code);
        }).detach();
        MPI_Abort(MPI_COMM_WORLD, code);
        std::_Exit(code);
    }

    void send(MpiOperation& work, Buffer const& b, int peer) const {
        for (std::size_t at = 0; at < b.bytes(); at += options().chunk_bytes) {
            std::size_t const bytes = std::min(options().chunk_bytes, b.bytes() - at);
            check_mpi(MPI_Isend(static_cast<std::byte*>(b.data) + at, static_cast<int>(bytes),
                                MPI_BYTE, peer, kTag, comm_, work.next()),
                      "MPI_Isend");
        }
    }
    void receive(MpiOperation& work, Buffer const& b, int peer) const {
        for (std::size_t at = 0; at < b.bytes(); at += options().chunk_bytes) {
            std::size_t const bytes = std::min(options().chunk_bytes, b.bytes() - at);
            check_mpi(MPI_Irecv(static_cast<std::byte*>(b.data) + at, static_cast<int>(bytes),
                                MPI_BYTE, peer, kTag, comm_, work.next()),
                      "MPI_Irecv");
        }
    }

    void start_all_gather(MpiOperation& work, Buffer const& in, Buffer const& out) const {
        auto const own = out.slice(static_cast<std::size_t>(rank()) * in.count, in.count);
        if (own.data != in.data) copy_buffer(in, own);
        if (in.bytes() <= options().chunk_bytes) {
            check_mpi(MPI_Iallgather(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, out.data,
                                     static_cast<int>(in.bytes()), MPI_BYTE, comm_, work.next()),
                      "MPI_Iallgather");
            return;
        }
        for (int peer = 0; peer < size(); ++peer)
            if (peer != rank())
                receive(work, out.slice(static_cast<std::size_t>(peer) * in.count, in.count), peer);
        for (int peer = 0; peer < size(); ++peer)
            if (peer != rank()) send(work, own, peer);
    }

    void start_all_to_all(MpiOperation& work, Buffer const& in,
                          std::span<std::size_t const> send_counts, Buffer const& out,
                          std::span<std::size_t const> receive_counts) const {
        std::size_t from = 0, to = 0;
        std::vector<Message> messages;
        for (int peer = 0; peer < size(); ++peer) {
            auto const p = static_cast<std::size_t>(peer);
            Buffer const outgoing = in.slice(from, send_counts[p]),
                         incoming = out.slice(to, receive_counts[p]);
            from += send_counts[p];
            to += receive_counts[p];
            if (peer == rank()) {
                copy_buffer(outgoing, incoming);
                continue;
            }
            receive(work, incoming, peer);
            messages.push_back({Message::Kind::send, peer, outgoing});
        }
        for (auto const& m : messages) send(work, m.buffer, m.peer);
    }

    MPI_Comm comm_;
    std::shared_ptr<Nodes const> nodes_;
    std::unique_ptr<NodeGroup> node_; ///< null: every call goes through MPI
};

} // namespace

std::unique_ptr<Communicator> make_mpi_world(CommunicatorOptions const& options,
                                             NodeSizes const& sizes) {
    MPI_Comm world = MPI_COMM_NULL;
    check_mpi(MPI_Comm_dup(MPI_COMM_WORLD, &world), "MPI_Comm_dup");
    check_mpi(MPI_Comm_set_errhandler(world, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
    int rank = 0, size = 0;
    check_mpi(MPI_Comm_rank(world, &rank), "MPI_Comm_rank");
    check_mpi(MPI_Comm_size(world, &size), "MPI_Comm_size");
    return std::make_unique<MpiCommunicator>(
        world, rank, size, "world", options,
        std::make_shared<Nodes>(Nodes{sizes, nodes_of_ranks(world)}));
}

} // namespace trireme::cluster
