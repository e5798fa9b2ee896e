#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <thread>
#include <utility>

#include "tests/standin/nccl_hub.hpp"
#include "tests/standin/state.hpp"

using namespace trireme::standin;

/// One rank's handle. Kept by the tasks in flight after NCCL's caller gave it up.
struct ncclComm {
    std::shared_ptr<Hub> hub;
    int rank = 0;
    std::uint64_t next = 0; ///< number of the next collective
    std::atomic<cudaStream_t> stream{nullptr};
    std::atomic<bool> aborted{false};
    std::atomic<int> in_flight{0};
    /// the thread that is in a call of this communicator
    std::atomic<std::thread::id> inside{};
    /// the thread that made the call that is in progress
    std::atomic<std::thread::id> in_progress_of{};
    std::atomic<std::chrono::steady_clock::time_point> since{};
    // Guarded by the hub's mutex.
    bool finalizing = false, counted_out = false;
    bool splitting = false; ///< its split, number `next`, is not through
    int color = 0;
    ncclComm_t* into = nullptr;
};

namespace {

std::mutex handles_mutex;
std::vector<std::shared_ptr<ncclComm>> handles; ///< alive
std::map<std::string, std::weak_ptr<Hub>> hubs; ///< by unique id
std::uint64_t ids = 0;
thread_local int depth = 0;
thread_local std::string last_error;

struct Queued {
    std::shared_ptr<ncclComm> comm;
    cudaStream_t stream;
    Call call;
};
thread_local std::vector<Queued> group;

void violate(std::string what) {
    std::lock_guard const lock(state().mutex);
    state().order.violate(std::move(what));
}

ncclResult_t refuse(ncclResult_t code, std::string why) {
    last_error = std::move(why);
    return code;
}

std::shared_ptr<ncclComm> alive(ncclComm_t comm) {
    {
        std::lock_guard const lock(handles_mutex);
        for (auto const& h : handles)
            if (h.get() == comm) return h;
    }
    violate("a call names an NCCL communicator that was freed");
    return nullptr;
}

/// A call of one thread on a communicator. NCCL lets no two threads in at one time, and what asks
/// for the state of a call in progress completes it: two that ask at once complete it twice.
class Inside {
  public:
    explicit Inside(ncclComm& comm) : comm_(comm) {
        std::thread::id const self = std::this_thread::get_id(), caller = comm.in_progress_of;
        std::thread::id none{};
        entered_ = comm.inside.compare_exchange_strong(none, self);
        if ((!entered_ && none != self) || (caller != std::thread::id() && caller != self))
            violate("two threads call one NCCL communicator at a time");
    }
    ~Inside() {
        if (entered_) comm_.inside = std::thread::id();
    }
    Inside(Inside const&) = delete;
    Inside& operator=(Inside const&) = delete;

  private:
    ncclComm& comm_;
    bool entered_;
};

/// What a call that does not block returns.
ncclResult_t in_progress(ncclComm& comm) {
    comm.since = std::chrono::steady_clock::now();
    comm.in_progress_of = std::this_thread::get_id();
    return ncclInProgress;
}

ncclComm_t add_handle(std::shared_ptr<Hub> hub, int rank) {
    auto made = std::make_shared<ncclComm>();
    made->hub = std::move(hub);
    made->rank = rank;
    std::lock_guard const lock(handles_mutex);
    handles.push_back(made);
    return made.get();
}

void drop_handle(ncclComm_t comm) {
    std::lock_guard const lock(handles_mutex);
    std::erase_if(handles, [&](auto const& h) { return h.get() == comm; });
}

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

/// The parent's side of a split: makes this rank's handle once every member has called. The hub's
/// mutex is held.
void finish_split(ncclComm& comm) {
    Hub& hub = *comm.hub;
    auto& split = hub.splits[comm.next];
    if (static_cast<int>(split.members.size()) < hub.size) return;
    std::vector<Hub::Member> own;
    for (auto const& m : split.members)
        if (m.color == comm.color) own.push_back(m);
    std::ranges::sort(own, [](auto const& a, auto const& b) {
        return std::pair(a.key, a.rank) < std::pair(b.key, b.rank);
    });
    auto& made = split.made[comm.color];
    if (!made) {
        made = std::make_shared<Hub>(static_cast<int>(own.size()), state().options.patience);
        made->joined = made->size;
    }
    auto const me = std::ranges::find(own, comm.rank, &Hub::Member::rank) - own.begin();
    *comm.into = add_handle(made, static_cast<int>(me));
    comm.splitting = false;
    ++comm.next;
}

/// What the host knows once finalizing is through: all that the communicator did.
void finish_finalizing(ncclComm& comm) {
    cudaStream_t const stream = comm.stream;
    if (!stream) return;
    State& s = state();
    std::lock_guard const lock(s.mutex);
    s.order.join(host_timeline(), s.order.clock(stream->timeline));
}

} // namespace

extern "C" {

char const* ncclGetErrorString(ncclResult_t result) {
    constexpr char const* kTexts[] = {"no error",
                                      "unhandled cuda error",
                                      "unhandled system error",
                                      "internal error",
                                      "invalid argument",
                                      "invalid usage",
                                      "remote process exited or there was a network error",
                                      "NCCL operation in progress"};
    return kTexts[result];
}
char const* ncclGetLastError(ncclComm_t) {
    return last_error.c_str();
}

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
    std::lock_guard const lock(handles_mutex);
    std::memset(id, 0, sizeof *id);
    ++ids;
    std::memcpy(id, &ids, sizeof ids);
    return ncclSuccess;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int ranks, ncclUniqueId id, int rank,
                                    ncclConfig_t* config) {
    if (!config || config->blocking) violate("an NCCL communicator that blocks the host");
    std::shared_ptr<Hub> hub;
    {
        std::lock_guard const lock(handles_mutex);
        auto& known = hubs[std::string(id.internal, sizeof id.internal)];
        hub = known.lock();
        if (!hub) known = hub = std::make_shared<Hub>(ranks, state().options.patience);
    }
    *comm = add_handle(hub, rank);
    std::lock_guard const lock(hub->mutex);
    if (!state().options.ranks_share_devices &&
        std::ranges::find(hub->devices, current_device()) != hub->devices.end())
        hub->fail("multiple ranks use the same GPU");
    hub->devices[static_cast<std::size_t>(rank)] = current_device();
    ++hub->joined;
    return in_progress(**comm);
}

ncclResult_t ncclCommSplit(ncclComm_t comm, int color, int key, ncclComm_t* made,
                           ncclConfig_t* config) {
    if (!config || config->blocking) violate("an NCCL communicator that blocks the host");
    auto const handle = alive(comm);
    if (!handle) return ncclInvalidArgument;
    Inside const inside(*handle);
    std::lock_guard const lock(handle->hub->mutex);
    handle->splitting = true;
    handle->color = color;
    handle->into = made;
    handle->hub->splits[handle->next].members.push_back({color, key, handle->rank});
    return in_progress(*handle);
}

ncclResult_t ncclCommUserRank(ncclComm_t comm, int* rank) {
    auto const handle = alive(comm);
    if (!handle) return ncclInvalidArgument;
    Inside const inside(*handle);
    *rank = handle->rank;
    return ncclSuccess;
}
ncclResult_t ncclCommCount(ncclComm_t comm, int* count) {
    auto const handle = alive(comm);
    if (!handle) return ncclInvalidArgument;
    Inside const inside(*handle);
    *count = handle->hub->size;
    return ncclSuccess;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* state) {
    auto const handle = alive(comm);
    if (!handle) return ncclInvalidArgument;
    Inside const inside(*handle);
    *state = ncclInProgress;
    if (std::chrono::steady_clock::now() - handle->since.load() < ::state().options.settling)
        return ncclSuccess;
    bool through = false, finalized = false;
    {
        std::lock_guard const lock(handle->hub->mutex);
        if (handle->splitting) finish_split(*handle);
        if (!handle->hub->failure.empty()) {
            last_error = handle->hub->failure;
            *state = ncclInvalidUsage;
            handle->in_progress_of = std::thread::id();
            return ncclSuccess;
        }
        through = handle->hub->joined == handle->hub->size && !handle->splitting;
        if (handle->finalizing) {
            if (handle->in_flight == 0 && !std::exchange(handle->counted_out, true))
                ++handle->hub->leaving;
            through = through && handle->counted_out && handle->hub->leaving >= handle->hub->size;
            finalized = through;
        }
    }
    if (finalized) finish_finalizing(*handle);
    if (!through) return ncclSuccess;
    handle->in_progress_of = std::thread::id();
    *state = ncclSuccess;
    return ncclSuccess;
}

ncclResult_t ncclCommFinalize(ncclComm_t comm) {
    auto const handle = alive(comm);
    if (!handle) return ncclInvalidArgument;
    Inside const inside(*handle);
    if (cudaStream_t const stream = handle->stream) stream->permit(CUstream_st::kAll);
    std::lock_guard const lock(handle->hub->mutex);
    handle->finalizing = true;
    return in_progress(*handle);
}

ncclResult_t ncclCommDestroy(ncclComm_t comm) {
    auto const handle = alive(comm);
    if (!handle) return ncclInvalidArgument;
    {
        Inside const inside(*handle);
        std::lock_guard const lock(handle->hub->mutex);
        if (!handle->finalizing)
            violate(
                "an NCCL communicator is destroyed before it is finalized: that waits on the host");
    }
    drop_handle(comm);
    return ncclSuccess;
}

ncclResult_t ncclCommAbort(ncclComm_t comm) {
    auto const handle = alive(comm);
    if (!handle) return ncclInvalidArgument;
    ++state().aborts;
    handle->aborted = true;
    handle->hub->wake();
    if (cudaStream_t const stream = handle->stream) stream->permit(CUstream_st::kAll);
    drop_handle(comm);
    return ncclSuccess;
}

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
