// The run that a job trains, as the trainer and whatever happens between its steps see it.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>

#include "cluster/communicator.hpp"
#include "data/loader.hpp"
#include "framework/config/config.hpp"
#include "framework/inputs/inputs.hpp"
#include "framework/run/job_limits.hpp"
#include "framework/run/progress.hpp"
#include "parallel/mesh.hpp"

namespace trireme::framework::train {

/// Holds what the run is to do, on which ranks, with which inputs, and how far it is. One per
/// trainer; its parts refer to it.
struct RunContext {
    /// Refuses whatever can be refused before memory is taken or a file is made. `world` must
    /// outlive this. Collective. Throws InputError.
    RunContext(config::Config const& config, cluster::Communicator& world,
               run::JobLimits const& limits);
    RunContext(RunContext const&) = delete;
    RunContext& operator=(RunContext const&) = delete;

    /// Is it time for what happens every `every` steps? 0: every `otherwise` steps, or never.
    /// Local.
    bool due(std::int64_t every, std::int64_t otherwise = 0) const;
    /// Has the job come to the step at which it is to end, and the run go on (job.until_step)?
    /// Local.
    bool due_to_pause() const;
    /// Says why a run ends before its last step, and what lets it go on: empty if it does not.
    struct EarlyEnd {
        std::string why, to_go_on;
    };
    /// Says why the last evaluation ends the run: patience has run out, the run overfits, or the
    /// model has forgotten too much; empty if it goes on. Local.
    EarlyEnd early_reason() const;
    /// Is the last step done, or has the run to end early? Local.
    bool is_over() const;
    /// Why the run ended before its last step; empty if it did not.
    std::string early_end() const;

    config::Config config; ///< with the copies of data that were made on this node
    std::string staging;   ///< a line about these, for the log; empty: there are none
    run::JobLimits limits;
    parallel::Mesh mesh;
    inputs::Inputs inputs;
    data::BatchShape shape;
    run::Progress progress;
};

/// Longest wait of one call (guard.deadline).
std::chrono::milliseconds deadline_of(config::Config const& config);

} // namespace trireme::framework::train
