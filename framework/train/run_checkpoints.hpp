// The checkpoints of a run: what a trainer saves and finds again, in the rank-free format of
// framework/checkpoint.
#pragma once
#include <nlohmann/json.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cluster/communicator.hpp"
#include "cluster/error.hpp"
#include "framework/checkpoint/folder.hpp"
#include "framework/checkpoint/manifest.hpp"
#include "framework/checkpoint/pending_save.hpp"
#include "framework/checkpoint/run_state.hpp"
#include "framework/config/config.hpp"
#include "framework/run/progress.hpp"
#include "framework/train/same_run.hpp"
#include "framework/weights/snapshot.hpp"
#include "parallel/parameter_store.hpp"

namespace trireme::framework::train {

/// How a save ended, the same on every rank.
struct SaveReport {
    std::int64_t step = 0;
    std::string why;
    double stalled = 0; ///< seconds that training stood still for it, on this rank
    double seconds = 0; ///< from its start to when this rank learned the outcome
    std::string error;  ///< empty: the checkpoint is there
    std::string
        /// with the first save: why saves are not written while training goes on, though asked to;
        /// else empty
        note;
};

/// Saves while training goes on (checkpoint.async, if the host has room for the copy), or at once.
/// Either way the steps between a save's start and its outcome may change weights and moments: they
/// are not what is written.
///
/// A save that fails is reported by poll() and leaves the former checkpoints as they are; the run
/// goes on, since the next one may succeed. finish() throws if the newest one failed.
class RunCheckpoints {
  public:
    /// Checkpoints live in RUN/checkpoints. All arguments but the strings must outlive this.
    /// Collective.
    RunCheckpoints(config::Config const& config, std::string data_fingerprint,
                   parallel::ParameterStore& store, cluster::Communicator& world);
    /// Abandons a save in flight: a checkpoint that not every rank has written is never committed.
    /// Local.
    ~RunCheckpoints();

    /// Loads the newest valid checkpoint into the store; nothing if there is none. Collective: all
    /// load the same one; a checkpoint that some rank cannot read is passed over, and `say` gets
    /// the reason. Throws WrongRun if none is left, or if the run folder belongs to a run of
    /// another configuration or other data.
    std::optional<run::Progress> resume(std::function<void(std::string const&)> const& say);
    /// Saves weights, moments and `progress`. Waits for a save in flight, if any, and then no
    /// longer than the copy to host memory takes. If this step was saved already, only the state is
    /// written anew. Collective.
    void save(run::Progress const& progress, std::string why = "");
    /// Moves on what is in flight, without waiting: to be called once a step. A save that ended,
    /// once. Local: ranks may learn of the same outcome at different steps.
    std::optional<SaveReport> poll();
    /// Waits for what is in flight. Collective. Throws JobError on every rank if the newest save
    /// failed.
    void finish();

    /// The loss of a step, which belongs to what is saved (history/loss). Steps count from 1.
    void note_loss(std::int64_t step, double loss);
    /// loss of step i + 1; NaN where none was noted
    std::vector<double> const& losses() const { return losses_; }

  private:
    nlohmann::json state_of(run::Progress const& progress) const;
    checkpoint::KeepRules rules() const;
    /// Before the first save of this job. Collective.
    bool open_folder();
    /// Is there room for copies on every host? To be asked when training has touched its memory.
    /// Collective.
    bool copies_fit();
    void start(run::Progress const& progress);
    void renew(run::Progress const& progress);
    void drain();
    void end_save();

    std::string folder_;
    config::Config const& config_;
    std::string data_fingerprint_;
    parallel::ParameterStore& store_;
    cluster::Communicator& world_;
    /// carries what PendingSave says and nothing else
    std::unique_ptr<cluster::Communicator> group_;
    std::optional<weights::Snapshot> snapshot_; ///< from the first save on
    std::vector<checkpoint::OwnedRange> ranges_;
    std::vector<double> losses_, saved_losses_;
    bool opened_ = false, async_ = false;
    std::int64_t saved_step_ = -1; ///< whose weights and moments are in a checkpoint of that step
    std::string newest_error_;
    std::atomic<bool> abandoned_ = false;
    std::unique_ptr<checkpoint::PendingSave> pending_;
    SaveReport current_; ///< report of pending_
    std::chrono::steady_clock::time_point started_;
    std::deque<SaveReport> ended_;
};

} // namespace trireme::framework::train
