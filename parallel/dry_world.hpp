// One rank of any mesh without the others: real code runs, its collectives are recorded and move
// nothing.
#pragma once
#include <memory>

#include "cluster/communicator.hpp"
#include "parallel/mesh.hpp"

namespace trireme::parallel {

/// Looks of a slow network: as many calls are under way at a time as may be. In a run the network
/// decides how many are.
inline constexpr int kSlowNetwork = 64;

/// The world of a mesh of this shape as `rank` sees it; splits are answered as Mesh, StageLink and
/// GradientReducer make them, and any other throws JobError. Calls reach options.observer. `looks`:
/// as of make_fake_world. Local.
std::unique_ptr<cluster::Communicator>
make_dry_world(MeshShape const& shape, int rank, cluster::CommunicatorOptions const& options = {},
               int looks = 0);

} // namespace trireme::parallel
