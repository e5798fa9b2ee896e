#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <utility>
#include <vector>

#include "cluster/bf16_sum.hpp"
#include "cluster/host.hpp"
#include "cluster/nccl_back_end.hpp"
#include "cluster/nccl_operations.hpp"

namespace trireme::cluster {

namespace {

class NcclCommunicator : public Communicator {
  public:
    NcclCommunicator(std::shared_ptr<NcclGroup> group, std::shared_ptr<NcclWatch> watch,
                     std::shared_ptr<Communicator> control, std::string name,
                     CommunicatorOptions options)
        : Communicator(group->rank(), group->size(), std::move(name), std::move(options)),
          group_(std::move(group)), watch_(std::move(watch)), control_(std::move(control)) {}
    ~NcclCommunicator() override { group_->close(); }

  private:
    using Calls = std::function<void(ncclComm_t comm, cudaStream_t stream)>;

    void run(Calls const& calls) const {
        try {
            group_->run([&](ncclComm_t comm) { calls(comm, cuda_stream(*group_)); });
        } catch (...) {
            watch_->abort(*group_);
            throw;
        }
    }
    std::unique_ptr<Operation> queued() const {
        return std::make_unique<NcclOperation>(group_, watch_);
    }

    /// Whether a call is the other back end's. A call is on one kind of memory.
    bool on_host(std::initializer_list<Buffer> buffers) const {
        auto const is_host = [](Buffer const& b) { return b.device == Device::host; };
        bool const all = std::ranges::all_of(buffers, is_host);
        if (!all && std::ranges::any_of(buffers, is_host))
            throw JobError(fmt::format(
                "rank {}@{} of group {}: one call takes memory of the host and of a GPU", rank(),
                host_name(), group()));
        return all;
    }
    static std::unique_ptr<Operation> on_control(Work work) {
        return std::make_unique<HostOperation>(std::move(work));
    }

    /// The group's stream follows those of the buffers ([Note: streams]).
    void follow_streams_of(std::initializer_list<Buffer> buffers) const {
        std::vector<void*> followed;
        for (auto const& b : buffers) follow_stream_of(b, followed);
    }
    void require_stream(Buffer const& b) const {
        if (b.device != Device::cuda || !b.stream)
            throw JobError(fmt::format(
                "rank {}@{} of group {}: NCCL takes memory of a GPU and the stream that orders it",
                rank(), host_name(), group()));
    }
    void follow_stream_of(Buffer const& b, std::vector<void*>& followed) const {
        require_stream(b);
        if (std::ranges::find(followed, b.stream) != followed.end()) return;
        follow(group_->stream(), b.stream);
        followed.push_back(b.stream);
    }

    /// Elements of one library call.
    std::size_t chunk(Buffer const& b) const {
        return std::max<std::size_t>(1, options().chunk_bytes / size_of(b.dtype));
    }
    template <typename Call>
    void in_chunks(Buffer const& b, Call const& call) const {
        for (std::size_t at = 0; at < b.count; at += chunk(b))
            call(b.slice(at, std::min(chunk(b), b.count - at)), at);
    }

    void send(Buffer const& b, int peer, ncclComm_t comm, cudaStream_t stream) const {
        in_chunks(b, [&](Buffer const& part, std::size_t) {
            group_->require(
                ncclSend(part.data, part.count, type_of(part.dtype), peer, comm, stream),
                "ncclSend");
        });
    }
    void receive(Buffer const& b, int peer, ncclComm_t comm, cudaStream_t stream) const {
        in_chunks(b, [&](Buffer const& part, std::size_t) {
            group_->require(
                ncclRecv(part.data, part.count, type_of(part.dtype), peer, comm, stream),
                "ncclRecv");
        });
    }
    void broadcast_chunks(Buffer const& b, int root, ncclComm_t comm, cudaStream_t stream) const {
        in_chunks(b, [&](Buffer const& part, std::size_t) {
            group_->require(ncclBroadcast(part.data, part.data, part.count, type_of(part.dtype),
                                          root, comm, stream),
                            "ncclBroadcast");
        });
    }
    void exchange_pieces(Buffer const& in, std::span<std::size_t const> send_counts,
                         Buffer const& out, std::span<std::size_t const> receive_counts) const {
        run([&](ncclComm_t comm, cudaStream_t stream) {
            std::size_t from = 0, to = 0;
            for (int peer = 0; peer < size(); ++peer) {
                auto const p = static_cast<std::size_t>(peer);
                send(in.slice(from, send_counts[p]), peer, comm, stream);
                receive(out.slice(to, receive_counts[p]), peer, comm, stream);
                from += send_counts[p];
                to += receive_counts[p];
            }
        });
    }
    void sum_bf16(Buffer const& pieces, Buffer const& out) const {
        if (!sum_bf16_on_device(pieces.data, static_cast<std::size_t>(size()), out.count, out.data,
                                group_->stream()))
            throw JobError(fmt::format("rank {}@{}: the kernel that sums bf16 did not start",
                                       rank(), host_name()));
    }

    std::unique_ptr<Operation> do_alone(Buffer in, Buffer out) override {
        if (on_host({in, out})) return on_control(control_->all_gather(in, out, kHostMemory));
        require_stream(in);
        require_stream(out);
        follow(out.stream, in.stream);
        if (in.data != out.data) copy_on_stream(out.data, in.data, in.bytes(), out.stream);
        return std::make_unique<AloneOperation>(out.stream);
    }
    std::unique_ptr<Operation> do_collective(Call const& call) override {
        switch (call.op) {
        case Collective::all_reduce: return start_all_reduce(call.in, call.reduce);
        case Collective::all_gather: return start_all_gather(call.in, call.out);
        case Collective::reduce_scatter:
            return start_reduce_scatter(call.in, call.out, call.reduce);
        case Collective::all_to_all: return start_all_to_all(call);
        case Collective::broadcast: return start_broadcast(call.in, call.root);
        case Collective::exchange: return start_exchange(call.messages);
        // Ranks wait for each other on the host: what they queued may still run.
        case Collective::barrier: return std::make_unique<BarrierOperation>(*control_);
        case Collective::split: break;
        }
        return nullptr;
    }
    std::unique_ptr<Operation> start_all_reduce(Buffer inout, ReduceOp op) const {
        if (on_host({inout})) return on_control(control_->all_reduce(inout, op, kHostMemory));
        follow_streams_of({inout});
        if (inout.dtype == DType::bf16 && op == ReduceOp::sum) {
            all_reduce_bf16(inout);
            return queued();
        }
        run([&](ncclComm_t comm, cudaStream_t stream) {
            in_chunks(inout, [&](Buffer const& part, std::size_t) {
                group_->require(ncclAllReduce(part.data, part.data, part.count, type_of(part.dtype),
                                              operator_of(op), comm, stream),
                                "ncclAllReduce");
            });
        });
        return queued();
    }
    /// Each rank sums one piece of the buffer and hands it to the others. The last pieces are
    /// short, or empty.
    void all_reduce_bf16(Buffer const& inout) const {
        auto const n = static_cast<std::size_t>(size()), me = static_cast<std::size_t>(rank());
        std::size_t const most = (inout.count + n - 1) / n;
        std::vector<std::size_t> counts(n), begins(n);
        for (std::size_t p = 0; p < n; ++p) {
            begins[p] = std::min(p * most, inout.count);
            counts[p] = std::min(most, inout.count - begins[p]);
        }
        std::vector<std::size_t> const mine(n, counts[me]);
        DeviceMemory const scratch(n * counts[me] * size_of(inout.dtype), group_->stream());
        Buffer const pieces{scratch.data(), n * counts[me], inout.dtype};
        exchange_pieces(inout, counts, pieces, mine);
        sum_bf16(pieces, inout.slice(begins[me], counts[me]));
        run([&](ncclComm_t comm, cudaStream_t stream) {
            for (std::size_t p = 0; p < n; ++p)
                broadcast_chunks(inout.slice(begins[p], counts[p]), static_cast<int>(p), comm,
                                 stream);
        });
    }
    std::unique_ptr<Operation> start_all_gather(Buffer in, Buffer out) const {
        if (on_host({in, out})) return on_control(control_->all_gather(in, out, kHostMemory));
        follow_streams_of({in, out});
        run([&](ncclComm_t comm, cudaStream_t stream) {
            if (in.count <= chunk(in)) {
                group_->require(
                    ncclAllGather(in.data, out.data, in.count, type_of(in.dtype), comm, stream),
                    "ncclAllGather");
                return;
            }
            // NCCL packs what one call gathers, so chunks are broadcasts
            for (int root = 0; root < size(); ++root)
                in_chunks(in, [&](Buffer const& part, std::size_t at) {
                    Buffer const to =
                        out.slice(static_cast<std::size_t>(root) * in.count + at, part.count);
                    group_->require(ncclBroadcast(part.data, to.data, part.count,
                                                  type_of(part.dtype), root, comm, stream),
                                    "ncclBroadcast");
                });
        });
        return queued();
    }
    std::unique_ptr<Operation> start_reduce_scatter(Buffer in, Buffer out, ReduceOp op) const {
        if (on_host({in, out}))
            return on_control(control_->reduce_scatter(in, out, op, kHostMemory));
        follow_streams_of({in, out});
        if (in.dtype == DType::bf16 && op == ReduceOp::sum) {
            DeviceMemory const scratch(in.bytes(), group_->stream());
            Buffer const pieces{scratch.data(), in.count, in.dtype};
            std::vector<std::size_t> const counts(static_cast<std::size_t>(size()), out.count);
            exchange_pieces(in, counts, pieces, counts);
            sum_bf16(pieces, out);
            return queued();
        }
        run([&](ncclComm_t comm, cudaStream_t stream) {
            if (out.count <= chunk(out)) {
                group_->require(ncclReduceScatter(in.data, out.data, out.count, type_of(in.dtype),
                                                  operator_of(op), comm, stream),
                                "ncclReduceScatter");
                return;
            }
            for (int root = 0; root < size(); ++root)
                in_chunks(in.slice(static_cast<std::size_t>(root) * out.count, out.count),
                          [&](Buffer const& part, std::size_t at) {
                              group_->require(ncclReduce(part.data, out.slice(at, part.count).data,
                                                         part.count, type_of(part.dtype),
                                                         operator_of(op), root, comm, stream),
                                              "ncclReduce");
                          });
        });
        return queued();
    }
    std::unique_ptr<Operation> start_all_to_all(Call const& call) const {
        if (on_host({call.in, call.out}))
            return on_control(control_->all_to_all(call.in, call.send_counts, call.out,
                                                   call.receive_counts, kHostMemory));
        follow_streams_of({call.in, call.out});
        exchange_pieces(call.in, call.send_counts, call.out, call.receive_counts);
        return queued();
    }
    std::unique_ptr<Operation> start_broadcast(Buffer inout, int root) const {
        if (on_host({inout})) return on_control(control_->broadcast(inout, root, kHostMemory));
        follow_streams_of({inout});
        run([&](ncclComm_t comm, cudaStream_t stream) {
            broadcast_chunks(inout, root, comm, stream);
        });
        return queued();
    }
    std::unique_ptr<Operation> start_exchange(std::span<Message const> messages) const {
        auto const with_first = [&](Message const& m) {
            return on_host({messages[0].buffer, m.buffer});
        };
        if (std::ranges::all_of(messages, with_first))
            return on_control(control_->exchange(messages, kHostMemory));
        std::vector<void*> followed;
        for (auto const& m : messages) follow_stream_of(m.buffer, followed);
        run([&](ncclComm_t comm, cudaStream_t stream) {
            for (auto const& m : messages)
                m.kind == Message::Kind::send ? send(m.buffer, m.peer, comm, stream)
                                              : receive(m.buffer, m.peer, comm, stream);
        });
        return queued();
    }
    std::unique_ptr<Communicator> do_split(int color, int key, std::string group,
                                           CommunicatorOptions options) override {
        std::shared_ptr<NcclGroup> made = group_->split(color, key, options.deadline);
        // After NCCL's, which has a deadline: that of MPI has none, but now every rank is there.
        std::shared_ptr<Communicator> control = control_->split(color, key, group);
        control->set_deadline(options.deadline);
        control->set_observer(nullptr); // sees the calls of this group, whatever memory they are on
        return make_nccl_communicator(std::move(made), watch_, std::move(control), std::move(group),
                                      std::move(options));
    }
    // kernels go with the process
    void do_abort(int code) override { control_->abort("the job ends", code); }

    std::shared_ptr<NcclGroup> group_;
    std::shared_ptr<NcclWatch> watch_;
    std::shared_ptr<Communicator> control_; ///< the same ranks, for memory of the host
};

} // namespace

std::unique_ptr<Communicator> make_nccl_communicator(std::shared_ptr<NcclGroup> group,
                                                     std::shared_ptr<NcclWatch> watch,
                                                     std::shared_ptr<Communicator> control,
                                                     std::string name,
                                                     CommunicatorOptions options) {
    return std::make_unique<NcclCommunicator>(std::move(group), std::move(watch),
                                              std::move(control), std::move(name),
                                              std::move(options));
}

} // namespace trireme::cluster
