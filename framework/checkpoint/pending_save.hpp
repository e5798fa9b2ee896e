// A save in flight: every rank writes its file in a thread of its own, and the ranks agree on the
// outcome without waiting for each other.
//
// The computing thread alone calls MPI (docs/decisions/0001). Each stage is one collective of a
// group that carries nothing else, so that ranks may start it at different steps: it is complete
// when the last one has come to it.
//
//   writing     this rank's thread makes its file; the computing thread trains on
//   lengths     all-gather of the reports' lengths
//   reports     all-gather of the reports
//   committing  rank 0's thread: manifest, rename, removal of old ones
//   outcome     broadcast of rank 0's result
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <future>
#include <optional>
#include <string>
#include <vector>

#include "cluster/communicator.hpp"

namespace trireme::framework::checkpoint {

class PendingSave {
  public:
    /// Makes this rank's file; its result goes to `commit`, and an exception makes the save fail.
    /// Runs in a thread.
    using Write = std::function<std::string()>;
    /// Takes the reports by rank. Runs in a thread of rank 0 alone, once every rank has written; an
    /// exception makes the save fail.
    using Commit = std::function<void(std::vector<std::string> const&)>;
    /// On rank 0 only, in a thread, if some rank could not write.
    using Discard = std::function<void()>;

    /// Starts writing. `group` is used by nothing else until this is over, and outlives it.
    /// Collective.
    PendingSave(cluster::Communicator& group, Write write, Commit commit, Discard discard);
    /// Waits for this rank's thread.
    ~PendingSave();
    PendingSave(PendingSave const&) = delete;
    PendingSave& operator=(PendingSave const&) = delete;

    /// Goes on as far as it can without waiting. True once the outcome is known to this rank.
    bool poll();
    /// Until then. Throws JobError when other ranks take longer than `patience` over one stage.
    void wait(std::chrono::milliseconds patience);
    /// Why it failed, the same on every rank; empty: the checkpoint is there. Once poll() is true.
    std::string const& error() const { return error_; }

  private:
    enum class Stage : std::uint8_t { writing, lengths, reports, committing, outcome, over };
    void advance();
    void gather_lengths();
    void gather_reports();
    void commit();
    void tell_outcome();

    cluster::Communicator& group_;
    Commit commit_;
    Discard discard_;
    Stage stage_ = Stage::writing;
    std::future<std::string> thread_;   ///< result of the thread that writes or commits
    std::optional<cluster::Work> work_; ///< collective of the other stages
    std::string mine_, all_, error_;
    std::int64_t length_ = 0;
    std::vector<std::int64_t> lengths_;
};

} // namespace trireme::framework::checkpoint
