// Tells whether a checkpoint belongs to the run that a job is to go on with.
#pragma once
#include <string>

#include "cluster/error.hpp"
#include "framework/checkpoint/run_state.hpp"
#include "framework/config/config.hpp"

namespace trireme::framework::train {

/// The run folder belongs to another run, or holds nothing that can be used: no older checkpoint
/// would help.
class WrongRun : public cluster::InputError {
  public:
    using cluster::InputError::InputError;
};

/// The configuration without what may change between the jobs of one run (layout, threads, when to
/// save or evaluate).
std::string trajectory_yaml(config::Config config);

/// Throws WrongRun where a checkpoint was made by a run of another configuration, in what decides
/// its weights, or with other data than `data_fingerprint`. A finished run may be given more
/// epochs. Local.
void check_same_run(checkpoint::RunState const& state, config::Config const& config,
                    std::string const& data_fingerprint);

} // namespace trireme::framework::train
