// Communicators of the stand-in's NCCL: how they come, are split, are asked and go.
#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "tests/standin/nccl_handle.hpp"
#include "tests/standin/state.hpp"

using namespace trireme::standin;

namespace {

std::mutex handles_mutex;
std::vector<std::shared_ptr<ncclComm>> handles; ///< alive
std::map<std::string, std::weak_ptr<Hub>> hubs; ///< by unique id
std::uint64_t ids = 0;
thread_local std::string last_error;

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

/// Tells the host, once finalizing is through, of all that the communicator did.
void finish_finalizing(ncclComm& comm) {
    cudaStream_t const stream = comm.stream;
    if (!stream) return;
    State& s = state();
    std::lock_guard const lock(s.mutex);
    s.order.join(host_timeline(), s.order.clock(stream->timeline));
}

} // namespace

namespace trireme::standin {

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

ncclResult_t in_progress(ncclComm& comm) {
    comm.since = std::chrono::steady_clock::now();
    comm.in_progress_of = std::this_thread::get_id();
    return ncclInProgress;
}

} // namespace trireme::standin

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
        through = handle->hub->joined == handle->hub->size && !handle->splitting &&
                  std::ranges::all_of(handle->connecting, [&](auto const& link) {
                      auto const& ends = handle->hub->links[link];
                      return ends[0] && ends[1];
                  });
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
}
