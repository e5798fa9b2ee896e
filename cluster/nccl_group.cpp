#include "cluster/nccl_group.hpp"

#include <fmt/format.h>

#include <exception>
#include <thread>
#include <utility>

#include "cluster/error.hpp"
#include "cluster/host.hpp"
#include "cluster/process.hpp"

namespace trireme::cluster {

namespace {

/// an enqueued call is through in microseconds, a set-up is not
constexpr auto kSoon = std::chrono::milliseconds(2);

ncclConfig_t non_blocking() {
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    return config;
}

} // namespace

void NcclGroup::require(ncclResult_t code, char const* call) const {
    if (code == ncclSuccess || code == ncclInProgress) return;
    char const* const more = ncclGetLastError(comm_);
    throw JobError(fmt::format("rank {}@{}: {}: {}{}{}", rank_, host_name(), call,
                               ncclGetErrorString(code), more && *more ? ": " : "",
                               more ? more : ""));
}

NcclGroup::NcclGroup(ncclUniqueId const& id, int rank, int size, std::chrono::milliseconds deadline)
    : rank_(rank), size_(size), deadline_(deadline) {
    ncclConfig_t config = non_blocking();
    try {
        require(ncclCommInitRankConfig(&comm_, size, id, rank, &config), "ncclCommInitRankConfig");
        settle(comm_, "ncclCommInitRankConfig");
    } catch (...) {
        abort();
        throw;
    }
}

NcclGroup::NcclGroup(ncclComm_t comm, std::chrono::milliseconds deadline)
    : comm_(comm), deadline_(deadline) {
    try {
        settle(comm_, "ncclCommSplit");
        require(ncclCommUserRank(comm_, &rank_), "ncclCommUserRank");
        require(ncclCommCount(comm_, &size_), "ncclCommCount");
    } catch (...) {
        abort();
        throw;
    }
}

NcclGroup::~NcclGroup() {
    abort();
}

std::string NcclGroup::aborted_text() const {
    return fmt::format("rank {}@{}: this NCCL group was aborted", rank_, host_name());
}

ncclComm_t NcclGroup::usable() const {
    if (!comm_) throw JobError(aborted_text());
    return comm_;
}

void NcclGroup::settle(ncclComm_t comm, char const* call) {
    auto const start = std::chrono::steady_clock::now();
    ncclResult_t state = ncclInProgress;
    for (;;) {
        require(ncclCommGetAsyncError(comm, &state), "ncclCommGetAsyncError");
        require(state, call);
        if (state == ncclSuccess) return;
        auto const waited = std::chrono::steady_clock::now() - start;
        if (waited > deadline_)
            throw JobError(
                fmt::format("rank {}@{}: {} passed its deadline of {} ms: is every rank there?",
                            rank_, host_name(), call, deadline_.count()));
        if (waited < kSoon)
            std::this_thread::yield();
        else
            std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
}

void NcclGroup::run(std::function<void(ncclComm_t)> const& calls) {
    std::lock_guard const lock(mutex_);
    ncclComm_t const comm = usable();
    require(ncclGroupStart(), "ncclGroupStart");
    try {
        calls(comm);
    } catch (...) {
        ncclGroupEnd(); // leaves NCCL balanced
        throw;
    }
    require(ncclGroupEnd(), "ncclGroupEnd");
    // only then is the work on the stream, and an event after it means something
    settle(comm, "ncclGroupEnd");
}

std::unique_ptr<NcclGroup> NcclGroup::split(int color, int key,
                                            std::chrono::milliseconds deadline) {
    ncclComm_t made = nullptr;
    std::unique_lock lock(mutex_);
    ncclConfig_t config = non_blocking();
    require(ncclCommSplit(usable(), color, key, &made, &config), "ncclCommSplit");
    settle(comm_, "ncclCommSplit"); // the new handle is there once the parent is through
    lock.unlock();
    return std::unique_ptr<NcclGroup>(new NcclGroup(made, deadline));
}

std::string NcclGroup::failure() {
    std::unique_lock const lock(mutex_, std::try_to_lock);
    if (!lock) return {};
    if (!comm_) return aborted_ ? aborted_text() : std::string();
    ncclResult_t state = ncclSuccess;
    ncclResult_t const asked = ncclCommGetAsyncError(comm_, &state);
    if (asked != ncclSuccess) state = asked;
    if (state == ncclSuccess || state == ncclInProgress) return {};
    return fmt::format("rank {}@{}: NCCL: {}: {}", rank_, host_name(), ncclGetErrorString(state),
                       ncclGetLastError(comm_));
}

void NcclGroup::close() noexcept {
    std::lock_guard const lock(mutex_);
    if (!comm_ || std::uncaught_exceptions() > 0) return abort_locked();
    try {
        require(ncclCommFinalize(comm_), "ncclCommFinalize");
        settle(comm_, "ncclCommFinalize");
    } catch (std::exception const& error) {
        say("trireme: {}\n", error.what());
        return abort_locked();
    }
    ncclCommDestroy(std::exchange(comm_, nullptr));
}

void NcclGroup::abort() noexcept {
    std::lock_guard const lock(mutex_);
    abort_locked();
}

void NcclGroup::abort_locked() noexcept {
    if (!comm_) return;
    aborted_ = true;
    ncclCommAbort(std::exchange(comm_, nullptr));
}

} // namespace trireme::cluster
