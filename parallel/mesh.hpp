// One integer grid of ranks with named axes; every group of processes comes from it.
// Axes from outermost to innermost: pipeline, replicate, shard, context, tensor. "Axis" is mesh,
// "dim" is tensor.
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "cluster/communicator.hpp"
#include "parallel/store_place.hpp"

namespace trireme::parallel {

enum class Axis : std::uint8_t { pipeline, replicate, shard, context, tensor };
inline constexpr std::size_t kAxes = 5;
char const* name_of(Axis axis);

/// Degrees of the axes. Pure integers.
struct MeshShape {
    std::array<int, kAxes> degree{1, 1, 1, 1, 1};

    int operator[](Axis axis) const { return degree[static_cast<std::size_t>(axis)]; }
    int& operator[](Axis axis) { return degree[static_cast<std::size_t>(axis)]; }
    int product() const;
    /// "pipeline 1 x replicate 2 x shard 1 x context 1 x tensor 1 = 2"
    std::string equation() const;
    /// Place of `rank` on every axis; tensor varies fastest.
    std::array<int, kAxes> coordinates(int rank) const;
    int rank_at(std::array<int, kAxes> const& coordinates) const;
};

/// Fills in replicate and shard where they are 0 (`shards`: with what is left for the shard axis,
/// as ZeRO wants; otherwise for replicate), and refuses what cannot work: throws
/// cluster::InputError with the equation, or with the name of an axis that is not built yet.
MeshShape resolve(MeshShape shape, int world_size, bool shards = false);

/// The groups of this rank. Construction is collective over `world`, which must outlive the mesh.
class Mesh {
  public:
    Mesh(cluster::Communicator& world, MeshShape const& shape);

    MeshShape const& shape() const { return shape_; }
    cluster::Communicator& world() const { return world_; }
    /// The ranks that differ from this one on `axis` alone.
    cluster::Communicator& along(Axis axis) const {
        return *groups_[static_cast<std::size_t>(axis)];
    }
    /// Replicate and shard together: the ranks among which samples are divided.
    cluster::Communicator& data() const { return *data_; }
    StorePlace place() const;

  private:
    cluster::Communicator& world_;
    MeshShape shape_;
    std::array<std::unique_ptr<cluster::Communicator>, kAxes> groups_;
    std::unique_ptr<cluster::Communicator> data_;
};

} // namespace trireme::parallel
