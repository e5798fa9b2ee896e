// Work that the stand-in's NCCL queues: groups of calls, and the calls.
#include <algorithm>
#include <functional>
#include <utility>
#include <vector>

#include "tests/standin/nccl_handle.hpp"
#include "tests/standin/state.hpp"

using namespace trireme::standin;

namespace {

thread_local int depth = 0;

struct Queued {
    std::shared_ptr<ncclComm> comm;
    cudaStream_t stream;
    Call call;
};
thread_local std::vector<Queued> group;

/// Joins ranges that touch, so that thousands of chunks are checked as one access.
std::vector<Range> merged(std::vector<Range> ranges) {
    std::erase_if(ranges, [](Range const& r) { return r.bytes == 0; });
    std::ranges::sort(ranges, std::less<>(), &Range::begin);
    std::vector<Range> result;
    for (auto const& r : ranges)
        if (!result.empty() &&
            static_cast<std::byte const*>(result.back().begin) + result.back().bytes == r.begin)
            result.back().bytes += r.bytes;
        else
            result.push_back(r);
    return result;
}

/// Two ranks are connected once both have posted a message: until then the call is in progress
/// (NCCL's ncclTransportP2pSetup, whose hosts wait for each other).
void begin_connecting(ncclComm& comm, std::vector<Call> const& calls) {
    std::lock_guard const lock(comm.hub->mutex);
    comm.connecting.clear();
    for (auto const& c : calls) {
        if (!c.is_message()) continue;
        bool const sends = c.kind == Kind::send;
        auto const& link =
            comm.connecting.emplace_back(sends ? comm.rank : c.peer, sends ? c.peer : comm.rank);
        comm.hub->links[link][sends] = true;
    }
}

/// Queues the calls of one communicator in one group as one piece of work.
ncclResult_t queue(std::shared_ptr<ncclComm> const& comm, cudaStream_t stream,
                   std::vector<Call> calls) {
    int const rank = comm->rank, size = comm->hub->size;
    cudaStream_t const before = comm->stream.exchange(stream);
    if (before && before != stream) violate("an NCCL communicator is used on two streams");
    std::vector<Range> reads, writes;
    std::vector<std::uint64_t> numbers;
    for (auto const& c : calls) {
        reads.push_back(c.reads(rank, size));
        writes.push_back(c.writes(rank, size));
        numbers.push_back(c.is_message() ? 0 : comm->next++);
    }
    begin_connecting(*comm, calls);
    std::string const name = "NCCL " + calls.front().text();
    State& s = state();
    std::unique_lock lock(s.mutex);
    if (!s.is_alive(stream)) return refuse(ncclInvalidArgument, "no such stream");
    s.begin_work(*stream);
    for (auto const& r : merged(reads)) s.order.access(stream->timeline, r, false, name);
    for (auto const& w : merged(writes)) s.order.access(stream->timeline, w, true, name);
    ++comm->in_flight;
    std::size_t const task = stream->next_task();
    stream->push([comm, stream, task, calls = std::move(calls), numbers = std::move(numbers)] {
        stream->pause();
        comm->hub->run(
            calls, numbers, comm->rank, comm->aborted, [stream] { stream->pause(); },
            [stream, task] { return stream->is_permitted(task); });
        --comm->in_flight;
    });
    lock.unlock();
    comm->hub->queued(rank, stream, task);
    return ncclSuccess;
}

ncclResult_t add(ncclComm_t comm, cudaStream_t stream, Call const& call) {
    auto const handle = alive(comm);
    if (!handle) return refuse(ncclInvalidArgument, "no such communicator");
    Inside const inside(*handle);
    group.push_back({handle, stream, call});
    if (depth > 0) return ncclSuccess;
    ++depth;
    return ncclGroupEnd();
}

} // namespace

extern "C" {

ncclResult_t ncclGroupStart() {
    ++depth;
    return ncclSuccess;
}

ncclResult_t ncclGroupEnd() {
    if (--depth > 0) return ncclSuccess;
    auto const queued = std::exchange(group, {});
    for (std::size_t i = 0; i < queued.size();) {
        std::vector<Call> calls;
        auto const& first = queued[i];
        for (; i < queued.size() && queued[i].comm == first.comm; ++i) {
            if (queued[i].stream != first.stream) violate("one group on two streams");
            calls.push_back(queued[i].call);
        }
        Inside const inside(*first.comm);
        if (auto const code = queue(first.comm, first.stream, std::move(calls));
            code != ncclSuccess)
            return code;
        in_progress(*first.comm);
    }
    return queued.empty() ? ncclSuccess : ncclInProgress;
}

ncclResult_t ncclAllReduce(void const* in, void* out, size_t count, ncclDataType_t type,
                           ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream) {
    return add(comm, stream, {Kind::all_reduce, in, out, count, type, op, 0});
}
ncclResult_t ncclReduce(void const* in, void* out, size_t count, ncclDataType_t type,
                        ncclRedOp_t op, int root, ncclComm_t comm, cudaStream_t stream) {
    return add(comm, stream, {Kind::reduce, in, out, count, type, op, root});
}
ncclResult_t ncclReduceScatter(void const* in, void* out, size_t out_count, ncclDataType_t type,
                               ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream) {
    return add(comm, stream, {Kind::reduce_scatter, in, out, out_count, type, op, 0});
}
ncclResult_t ncclAllGather(void const* in, void* out, size_t in_count, ncclDataType_t type,
                           ncclComm_t comm, cudaStream_t stream) {
    return add(comm, stream, {Kind::all_gather, in, out, in_count, type, ncclSum, 0});
}
ncclResult_t ncclBroadcast(void const* in, void* out, size_t count, ncclDataType_t type, int root,
                           ncclComm_t comm, cudaStream_t stream) {
    return add(comm, stream, {Kind::broadcast, in, out, count, type, ncclSum, root});
}
ncclResult_t ncclSend(void const* in, size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                      cudaStream_t stream) {
    return add(comm, stream, {Kind::send, in, nullptr, count, type, ncclSum, peer});
}
ncclResult_t ncclRecv(void* out, size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                      cudaStream_t stream) {
    return add(comm, stream, {Kind::receive, nullptr, out, count, type, ncclSum, peer});
}
}
