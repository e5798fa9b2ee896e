// Can this model be laid over this mesh? Pure integers; no memory, no communication.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "framework/model/config.hpp"
#include "framework/parallelize/section.hpp"
#include "parallel/mesh.hpp"

namespace trireme::framework::parallelize {

/// Throws InputError with the equation and the nearest layouts that work: more parts than layers,
/// virtual stages that the schedule has not, tensor ranks that would have no query head, no column
/// of a feed-forward layer or no word. `shape` comes from mesh_shape(), which has refused degrees
/// whose product is not the world.
void check_layout(model::Config const& model, parallel::MeshShape const& shape,
                  ParallelSection const& section);

/// Lists, one line each, what works but is probably not meant: idle stages, padded heads, a ZeRO
/// stage with nothing to shard. `micro_steps`: those of one data-parallel rank in a step.
std::vector<std::string> layout_notes(model::Config const& model, parallel::MeshShape const& shape,
                                      ParallelSection const& section, std::int64_t micro_steps);

} // namespace trireme::framework::parallelize
