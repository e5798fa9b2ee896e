// The data of a run on a disk of each node: `data.stage_to`.
#pragma once
#include <string>

#include "cluster/communicator.hpp"
#include "framework/config/config.hpp"

namespace trireme::framework::inputs {

/// Copies what the run reads to data.stage_to, once a node, by its first rank while the others
/// wait, file after file; copies that are there with the right hash stay. Fills
/// config.data.staged, and returns a line for the log; does nothing and returns "" without
/// data.stage_to. Collective over `world`. Throws the same InputError or JobError on every rank.
std::string stage_data(config::Config& config, cluster::Communicator& world);

/// Takes the copies away again if data.remove_staged asks for it, after all ranks of the job are
/// done with them. Collective over `world`.
void remove_staged(config::Config const& config, cluster::Communicator& world);

} // namespace trireme::framework::inputs
