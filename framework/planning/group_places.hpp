// Where the members of a group of our own runs lie, by the group's name.
#pragma once
#include <string_view>

#include "framework/planning/collective_cost.hpp"
#include "parallel/group_names.hpp"
#include "parallel/mesh.hpp"

namespace trireme::framework::planning {

/// Groups of two pipeline stages, and of names that are not known, have one member here.
inline Group group_of(std::string_view name, parallel::MeshShape const& mesh) {
    using parallel::Axis;
    std::int64_t const tensor = mesh[Axis::tensor], shard = mesh[Axis::shard],
                       replicate = mesh[Axis::replicate];
    if (name == "world") return {mesh.product(), 1};
    if (name == "tensor") return {tensor, 1};
    if (name == "shard" || name == parallel::kGradients) return {shard, tensor};
    if (name == "replicate") return {replicate, tensor * shard};
    if (name == parallel::kData) return {shard * replicate, tensor};
    return {parallel::sharers_of(name).value_or(1), 1};
}

} // namespace trireme::framework::planning
