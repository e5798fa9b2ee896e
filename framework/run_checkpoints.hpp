// The checkpoints of a run: what a trainer saves and finds again, in the rank-free format of framework/checkpoint.
#pragma once
#include <nlohmann/json.hpp>

#include <cstdint>
#include <optional>
#include <string>

#include "cluster/communicator.hpp"
#include "framework/config.hpp"
#include "parallel/parameter_store.hpp"

namespace trireme::framework {

/// Where a run is: the whole of its state besides weights and moments. No rank, no world size in it.
struct RunProgress {
    std::int64_t step = 0;    ///< optimizer steps done
    std::int64_t cursor = 0;  ///< samples drawn from the endless order
    double best = 0;          ///< best value of evaluation.metric so far
    std::int64_t best_step = -1;
    int evaluations_without_improvement = 0;
    bool finished = false;

    nlohmann::json to_json() const;
    static RunProgress from_json(nlohmann::json const& json);
};

class RunCheckpoints {
  public:
    /// Checkpoints live in RUN/checkpoints. All arguments but the strings must outlive this.
    RunCheckpoints(Config const& config, std::string data_fingerprint, parallel::ParameterStore& store,
                   cluster::Communicator& world);

    /// Loads the newest valid checkpoint into the store; nothing if there is none. Collective: rank 0 chooses, all load
    /// the same one. Throws InputError if the run was made with another configuration or other data.
    std::optional<RunProgress> resume();
    /// Saves weights and moments. Collective. Each rank writes its share.
    void save(RunProgress const& progress);

  private:
    std::string folder_;
    Config const& config_;
    std::string data_fingerprint_;
    parallel::ParameterStore& store_;
    cluster::Communicator& world_;
};

/// The configuration without what may change between the jobs of one run (layout, threads, when to save or evaluate).
std::string trajectory_yaml(Config config);

} // namespace trireme::framework
