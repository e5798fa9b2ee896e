// Brings to every rank what the ranks with the head have found.
#pragma once
#include <vector>

#include "cluster/gather_values.hpp"
#include "parallel/mesh.hpp"

namespace trireme::framework::evaluation {

/// Gives every rank what the data ranks of the last stage, which has the head, have found: rank by
/// rank. Collective over the mesh.
template <typename T>
std::vector<T> of_all(parallel::Mesh const& mesh, std::vector<T> const& mine, char const* name) {
    std::vector<T> all;
    for (auto const& part : cluster::all_gather_values(mesh.data(), mine, name))
        all.insert(all.end(), part.begin(), part.end());
    auto& stages = mesh.along(parallel::Axis::pipeline);
    return cluster::broadcast_values(stages, all, stages.size() - 1, name);
}

} // namespace trireme::framework::evaluation
