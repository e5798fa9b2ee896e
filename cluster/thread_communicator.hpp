// N ranks as threads of one process, with real results: how schedules and shards are tested at 64
// to 128 ranks.
#pragma once
#include <functional>
#include <memory>
#include <vector>

#include "cluster/communicator.hpp"

namespace trireme::cluster {

/// The world as each of `ranks` threads sees it.
std::vector<std::unique_ptr<Communicator>> make_thread_world(int ranks,
                                                             CommunicatorOptions const& options);

/// Runs `body` once per rank, each in a thread of its own, and waits for all. Rethrows the first
/// error that happened; the other ranks stop with a JobError naming it instead of waiting for the
/// one that is gone.
void run_as_threads(int ranks, std::function<void(Communicator& world)> const& body,
                    CommunicatorOptions const& options = {});

} // namespace trireme::cluster
