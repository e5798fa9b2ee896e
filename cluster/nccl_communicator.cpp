#include "cluster/nccl_communicator.hpp"

#include <cuda_runtime.h>
#include <nccl.h>

#include <cstdlib>
#include <string>

#include "cluster/error.hpp"

namespace trireme::cluster {

namespace {

void check_cuda(cudaError_t code, char const* call) {
    if (code != cudaSuccess) throw JobError(std::string(call) + ": " + cudaGetErrorString(code));
}
void check_nccl(ncclResult_t code, char const* call) {
    if (code != ncclSuccess && code != ncclInProgress)
        throw JobError(std::string(call) + ": " + ncclGetErrorString(code));
}

ncclDataType_t type_of(DType dtype) {
    switch (dtype) {
    case DType::u8: return ncclUint8;
    case DType::i32: return ncclInt32;
    case DType::i64: return ncclInt64;
    case DType::bf16: return ncclBfloat16;
    case DType::f32: return ncclFloat32;
    case DType::f64: return ncclFloat64;
    }
    return ncclUint8;
}
ncclRedOp_t operator_of(ReduceOp op) {
    return op == ReduceOp::sum ? ncclSum : op == ReduceOp::max ? ncclMax : ncclMin;
}
cudaStream_t stream_of(Buffer const& buffer) {
    return static_cast<cudaStream_t>(buffer.stream);
}

/// Done when the stream has passed the event that follows the call.
class NcclOperation : public Operation {
  public:
    NcclOperation(ncclComm_t comm, cudaStream_t stream) : comm_(comm) {
        check_cuda(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), "cudaEventCreateWithFlags");
        check_cuda(cudaEventRecord(event_, stream), "cudaEventRecord");
    }
    ~NcclOperation() override { cudaEventDestroy(event_); }
    NcclOperation(NcclOperation const&) = delete;
    NcclOperation& operator=(NcclOperation const&) = delete;

    bool test() override {
        ncclResult_t state = ncclSuccess;
        check_nccl(ncclCommGetAsyncError(comm_, &state), "ncclCommGetAsyncError");
        check_nccl(state, "NCCL, asynchronously");
        cudaError_t const reached = cudaEventQuery(event_);
        if (reached == cudaErrorNotReady) return false;
        check_cuda(reached, "cudaEventQuery");
        return true;
    }

  private:
    ncclComm_t comm_;
    cudaEvent_t event_ = nullptr;
};

/// Calls between begin and end of a group progress together.
class Group {
  public:
    Group() { check_nccl(ncclGroupStart(), "ncclGroupStart"); }
    ~Group() {
        if (open_) ncclGroupEnd(); // an exception is in flight: leave NCCL balanced
    }
    void end() {
        open_ = false;
        check_nccl(ncclGroupEnd(), "ncclGroupEnd");
    }

  private:
    bool open_ = true;
};

class NcclCommunicator : public Communicator {
  public:
    NcclCommunicator(ncclComm_t comm, int rank, int size, std::string group, CommunicatorOptions options)
        : Communicator(rank, size, std::move(group), std::move(options)), comm_(comm) {
        check_cuda(cudaMalloc(&token_, sizeof(float)), "cudaMalloc");
    }
    ~NcclCommunicator() override {
        cudaFree(token_);
        ncclCommDestroy(comm_);
    }

  private:
    std::unique_ptr<Operation> queued(cudaStream_t stream) const {
        return std::make_unique<NcclOperation>(comm_, stream);
    }

    static void refuse_bf16(Buffer const& buffer, ReduceOp op) {
        if (buffer.dtype == DType::bf16 && op == ReduceOp::sum)
            throw JobError("NCCL: a sum of bf16 is rounded at every hop; reduce in float32");
    }

    std::unique_ptr<Operation> do_all_reduce(Buffer inout, ReduceOp op) override {
        refuse_bf16(inout, op);
        check_nccl(ncclAllReduce(inout.data, inout.data, inout.count, type_of(inout.dtype), operator_of(op), comm_,
                                 stream_of(inout)),
                   "ncclAllReduce");
        return queued(stream_of(inout));
    }
    std::unique_ptr<Operation> do_all_gather(Buffer in, Buffer out) override {
        check_nccl(ncclAllGather(in.data, out.data, in.count, type_of(in.dtype), comm_, stream_of(out)),
                   "ncclAllGather");
        return queued(stream_of(out));
    }
    std::unique_ptr<Operation> do_reduce_scatter(Buffer in, Buffer out, ReduceOp op) override {
        refuse_bf16(in, op);
        check_nccl(
            ncclReduceScatter(in.data, out.data, out.count, type_of(in.dtype), operator_of(op), comm_, stream_of(out)),
            "ncclReduceScatter");
        return queued(stream_of(out));
    }
    std::unique_ptr<Operation> do_all_to_all(Buffer in, std::span<std::size_t const> send_counts, Buffer out,
                                             std::span<std::size_t const> receive_counts) override {
        Group group;
        std::size_t from = 0, to = 0;
        for (int peer = 0; peer < size(); ++peer) {
            auto const p = static_cast<std::size_t>(peer);
            send(in.slice(from, send_counts[p]), peer, stream_of(out));
            receive(out.slice(to, receive_counts[p]), peer, stream_of(out));
            from += send_counts[p];
            to += receive_counts[p];
        }
        group.end();
        return queued(stream_of(out));
    }
    std::unique_ptr<Operation> do_broadcast(Buffer inout, int root) override {
        check_nccl(
            ncclBroadcast(inout.data, inout.data, inout.count, type_of(inout.dtype), root, comm_, stream_of(inout)),
            "ncclBroadcast");
        return queued(stream_of(inout));
    }
    std::unique_ptr<Operation> do_exchange(std::span<Message const> messages) override {
        cudaStream_t const stream = messages.empty() ? nullptr : stream_of(messages.front().buffer);
        Group group;
        for (auto const& m : messages)
            m.kind == Message::Kind::send ? send(m.buffer, m.peer, stream) : receive(m.buffer, m.peer, stream);
        group.end();
        return queued(stream);
    }
    std::unique_ptr<Operation> do_barrier() override {
        check_nccl(ncclAllReduce(token_, token_, 1, ncclFloat32, ncclMax, comm_, nullptr), "ncclAllReduce");
        return queued(nullptr);
    }
    std::unique_ptr<Communicator> do_split(int color, int key, std::string group,
                                           CommunicatorOptions options) override {
        ncclComm_t made = nullptr;
        check_nccl(ncclCommSplit(comm_, color, key, &made, nullptr), "ncclCommSplit");
        int rank = 0, size = 0;
        check_nccl(ncclCommUserRank(made, &rank), "ncclCommUserRank");
        check_nccl(ncclCommCount(made, &size), "ncclCommCount");
        return std::make_unique<NcclCommunicator>(made, rank, size, std::move(group), std::move(options));
    }
    void do_abort(int code) override {
        ncclCommAbort(comm_);
        std::_Exit(code);
    }

    void send(Buffer const& b, int peer, cudaStream_t stream) const {
        check_nccl(ncclSend(b.data, b.count, type_of(b.dtype), peer, comm_, stream), "ncclSend");
    }
    void receive(Buffer const& b, int peer, cudaStream_t stream) const {
        check_nccl(ncclRecv(b.data, b.count, type_of(b.dtype), peer, comm_, stream), "ncclRecv");
    }

    ncclComm_t comm_;
    void* token_ = nullptr; ///< one float on the device, for barriers
};

} // namespace

bool has_nccl() {
    return true;
}

std::unique_ptr<Communicator> make_nccl_world(Communicator& control, int device, CommunicatorOptions const& options) {
    check_cuda(cudaSetDevice(device), "cudaSetDevice");
    ncclUniqueId id{};
    if (control.rank() == 0) check_nccl(ncclGetUniqueId(&id), "ncclGetUniqueId");
    control.broadcast({&id, sizeof id, DType::u8}, 0, "nccl/unique id").wait();
    ncclComm_t comm = nullptr;
    check_nccl(ncclCommInitRank(&comm, control.size(), id, control.rank()), "ncclCommInitRank");
    return std::make_unique<NcclCommunicator>(comm, control.rank(), control.size(), "world", options);
}

} // namespace trireme::cluster
