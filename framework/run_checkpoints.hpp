// The checkpoints of a run: what a trainer saves and finds again, in the rank-free format of framework/checkpoint.
#pragma once
#include <nlohmann/json.hpp>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cluster/communicator.hpp"
#include "cluster/error.hpp"
#include "framework/checkpoint/manifest.hpp"
#include "framework/config.hpp"
#include "framework/run_progress.hpp"
#include "parallel/parameter_store.hpp"

namespace trireme::framework {

/// The run folder belongs to another run, or holds nothing that can be used: no older checkpoint would help.
class WrongRun : public cluster::InputError {
  public:
    using cluster::InputError::InputError;
};

/// Committed checkpoints of RUN/checkpoints, newest first. Local.
std::vector<std::string> list_checkpoints(std::string const& folder);

class RunCheckpoints {
  public:
    /// Checkpoints live in RUN/checkpoints. All arguments but the strings must outlive this.
    RunCheckpoints(Config const& config, std::string data_fingerprint, parallel::ParameterStore& store,
                   cluster::Communicator& world);

    /// Loads the newest valid checkpoint into the store; nothing if there is none. Collective: all load the same one,
    /// and one that some rank cannot read is passed over, told to `say`. Throws WrongRun if none is left, or if the run
    /// folder belongs to a run of another configuration or other data.
    std::optional<RunProgress> resume(std::function<void(std::string const&)> const& say);
    /// Saves weights and moments. Collective. Each rank writes its share. Throws JobError on every rank if one cannot.
    void save(RunProgress const& progress);

  private:
    void check_same_run(nlohmann::json const& state) const;
    nlohmann::json state_of(RunProgress const& progress) const;
    void commit(CheckpointManifest manifest, std::string const& staging, std::string const& final,
                RunProgress const& progress) const;

    std::string folder_;
    Config const& config_;
    std::string data_fingerprint_;
    parallel::ParameterStore& store_;
    cluster::Communicator& world_;
};

/// The configuration without what may change between the jobs of one run (layout, threads, when to save or evaluate).
std::string trajectory_yaml(Config config);

} // namespace trireme::framework
