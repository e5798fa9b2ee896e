#include "parallel/mesh.hpp"

#include <fmt/format.h>

#include <optional>

#include "cluster/counted.hpp"
#include "cluster/error.hpp"
#include "parallel/group_names.hpp"

namespace trireme::parallel {

namespace {

constexpr std::array<char const*, kAxes> kNames{"pipeline", "replicate", "shard", "context",
                                                "tensor"};
constexpr std::array<bool, kAxes> kBuilt{true, true, true, false, true};

/// Color of the group of ranks that agree with `coordinates` on every axis not in `varying`.
int group_color(MeshShape const& shape, std::array<int, kAxes> coordinates,
                std::array<bool, kAxes> const& varying) {
    for (std::size_t a = 0; a < kAxes; ++a)
        if (varying[a]) coordinates[a] = 0;
    return shape.rank_at(coordinates);
}

/// Returns the nearest degree below and above `degree`, as far as there is one, whose product with
/// the `others` divides the world (`divide`) or is the world.
std::vector<int> nearest_fits(int degree, int others, int world_size, bool divide) {
    auto const fits = [&](int d) {
        return divide ? world_size % (others * d) == 0 : others * d == world_size;
    };
    std::vector<int> found;
    int below = degree - 1, above = degree + 1;
    while (below >= 1 && !fits(below)) --below;
    while (others * above <= world_size && !fits(above)) ++above;
    if (below >= 1) found.push_back(below);
    if (others * above <= world_size) found.push_back(above);
    return found;
}

/// Changes of one degree after which the product divides the world (`divide`) or is the world,
/// nearest first in each direction, and the nearest worlds for the degrees as they are.
std::string nearest_degrees(MeshShape const& shape, int world_size, bool divide,
                            std::optional<Axis> derived) {
    std::string text;
    auto const add = [&](std::string const& one) { text += (text.empty() ? "" : ", or ") + one; };
    for (std::size_t a = 0; a < kAxes; ++a) {
        if (!kBuilt[a] || static_cast<Axis>(a) == derived || (divide && shape.degree[a] == 1))
            continue;
        for (int const d :
             nearest_fits(shape.degree[a], shape.product() / shape.degree[a], world_size, divide))
            add(fmt::format("{} {}", kNames[a], d));
    }
    int const product = shape.product(), below = divide ? world_size / product * product : 0;
    if (below > 0) add(cluster::counted(below, "rank"));
    add(cluster::counted(divide ? below + product : product, "rank"));
    return text;
}

void check_degrees(MeshShape const& shape) {
    for (std::size_t a = 0; a < kAxes; ++a) {
        auto const axis = static_cast<Axis>(a);
        bool const derived =
            (axis == Axis::replicate || axis == Axis::shard) && shape.degree[a] == 0;
        if (shape.degree[a] < 1 && !derived)
            throw cluster::InputError(
                fmt::format("parallel.{}: {}: legal: 1 or more", kNames[a], shape.degree[a]));
        if (shape.degree[a] > 1 && !kBuilt[a])
            throw cluster::InputError(
                fmt::format("parallel.{}: {}: this axis is not built yet; legal: 1", kNames[a],
                            shape.degree[a]));
    }
}

} // namespace

char const* name_of(Axis axis) {
    return kNames[static_cast<std::size_t>(axis)];
}

int MeshShape::product() const {
    int p = 1;
    for (int d : degree) p *= d;
    return p;
}

std::string MeshShape::equation() const {
    std::string text;
    for (std::size_t a = 0; a < kAxes; ++a)
        text += fmt::format("{}{} {}", a ? " x " : "", kNames[a], degree[a]);
    return fmt::format("{} = {}", text, product());
}

std::array<int, kAxes> MeshShape::coordinates(int rank) const {
    std::array<int, kAxes> c{};
    for (std::size_t a = kAxes; a-- > 0;) {
        c[a] = rank % degree[a];
        rank /= degree[a];
    }
    return c;
}

int MeshShape::rank_at(std::array<int, kAxes> const& coordinates) const {
    int rank = 0;
    for (std::size_t a = 0; a < kAxes; ++a) rank = rank * degree[a] + coordinates[a];
    return rank;
}

/// Returns how many times the shape, in which `rest` is 1, fits into the world.
static int degree_of_rest(MeshShape const& shape, int world_size, Axis rest) {
    int const others = shape.product();
    if (world_size % others != 0)
        throw cluster::InputError(fmt::format(
            "parallel: {} does not divide the {} of this job; legal: {}", shape.equation(),
            cluster::counted(world_size, "rank"), nearest_degrees(shape, world_size, true, rest)));
    return world_size / others;
}

MeshShape resolve(MeshShape shape, int world_size, bool shards) {
    check_degrees(shape);
    Axis const rest = shards && shape[Axis::shard] == 0 ? Axis::shard : Axis::replicate;
    bool const derive = shape[rest] == 0;
    for (Axis const axis : {Axis::replicate, Axis::shard})
        if (shape[axis] == 0) shape[axis] = 1;
    if (derive) shape[rest] = degree_of_rest(shape, world_size, rest);
    if (shape.product() != world_size)
        throw cluster::InputError(
            fmt::format("parallel: {}, but this job has {}; legal: {}", shape.equation(),
                        cluster::counted(world_size, "rank"),
                        nearest_degrees(shape, world_size, false, std::nullopt)));
    return shape;
}

Mesh::Mesh(cluster::Communicator& world, MeshShape const& shape) : world_(world), shape_(shape) {
    auto const here = shape_.coordinates(world.rank());
    for (std::size_t a = 0; a < kAxes; ++a) {
        std::array<bool, kAxes> varying{};
        varying[a] = true;
        groups_[a] = world.split(group_color(shape_, here, varying), world.rank(), kNames[a]);
    }
    // In the order of StorePlace::part, so that the parts of a shard group's range lie together.
    int const part = here[2] * shape_[Axis::replicate] + here[1];
    data_ = world.split(group_color(shape_, here, {false, true, true, false, false}), part, kData);
}

StorePlace Mesh::place() const {
    auto const size_and_rank = [&](Axis axis) {
        return std::pair(along(axis).size(), along(axis).rank());
    };
    auto const [replicate, replicate_rank] = size_and_rank(Axis::replicate);
    auto const [shard, shard_rank] = size_and_rank(Axis::shard);
    auto const [tensor, tensor_rank] = size_and_rank(Axis::tensor);
    return {replicate, replicate_rank, shard, shard_rank, tensor, tensor_rank};
}

} // namespace trireme::parallel
