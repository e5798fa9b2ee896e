// Owner of one NCCL communicator and of the stream its calls run on. NCCL's communicators are made
// non-blocking here, so that no call of NCCL's waits on the host without a deadline of ours.
#pragma once
#include <nccl.h>

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "cluster/device.hpp"

namespace trireme::cluster {

/// Used by one thread, but for `failure`, which the watch calls too. Every throw is a JobError with
/// rank@host and NCCL's own text.
class NcclGroup {
  public:
    /// Polls until every rank has come. Collective.
    NcclGroup(ncclUniqueId const& id, int rank, int size, std::chrono::milliseconds deadline);
    /// Aborts, unless `close` came first.
    ~NcclGroup();
    NcclGroup(NcclGroup const&) = delete;
    NcclGroup& operator=(NcclGroup const&) = delete;

    int rank() const { return rank_; }
    int size() const { return size_; }
    void* stream() const { return stream_.handle(); }

    /// One NCCL group: what `calls` starts progresses together. Returns when it is queued on the
    /// stream. If it throws, part of it may be in flight, and the group must be aborted.
    void run(std::function<void(ncclComm_t)> const& calls);
    /// Checks one call inside `run`.
    void require(ncclResult_t code, char const* call) const;
    std::unique_ptr<NcclGroup> split(int color, int key, std::chrono::milliseconds deadline);
    /// Returns what went wrong, in NCCL's words, or that the group was aborted; after an abort the
    /// device runs on past calls that did not happen. Returns an empty string if nothing went
    /// wrong, or while another thread is in a call on the group, since that call learns of the
    /// failure itself.
    std::string failure();
    /// Waits for what is queued, by polling, and frees. An NCCL communicator that is not through by
    /// then is aborted.
    void close() noexcept;
    /// Ends what is in flight, and frees. Later calls throw.
    void abort() noexcept;

  private:
    NcclGroup(ncclComm_t comm, std::chrono::milliseconds deadline);
    /// Polls a non-blocking call of `comm` until it is through. The mutex is held, or nobody else
    /// knows `comm`.
    void settle(ncclComm_t comm, char const* call);
    void abort_locked() noexcept;
    ncclComm_t usable() const;
    std::string aborted_text() const;

    ncclComm_t comm_ = nullptr; ///< null once closed or aborted
    bool aborted_ = false;
    /// Held for each call of NCCL's until it is through: NCCL lets no two threads in at one time,
    /// not even to ask whether a call in progress has failed, since whoever asks completes it.
    std::mutex mutex_;
    int rank_ = 0, size_ = 0;
    std::chrono::milliseconds deadline_;
    Stream stream_;
};

} // namespace trireme::cluster
