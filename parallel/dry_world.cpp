#include "parallel/dry_world.hpp"

#include <fmt/format.h>

#include "cluster/error.hpp"
#include "cluster/fake_communicator.hpp"
#include "parallel/group_names.hpp"

namespace trireme::parallel {

namespace {

cluster::FakeSplit answer(MeshShape const& shape, std::array<int, kAxes> const& here,
                          std::string_view group) {
    auto const along = [&](Axis axis) {
        return cluster::FakeSplit{here[static_cast<std::size_t>(axis)], shape[axis]};
    };
    for (std::size_t a = 0; a < kAxes; ++a)
        if (group == name_of(static_cast<Axis>(a))) return along(static_cast<Axis>(a));
    if (is_of(kActivations, group) || is_of(kActivationGradients, group))
        return along(Axis::pipeline);
    auto const replicate = along(Axis::replicate), shard = along(Axis::shard);
    if (group == kGradients) return shard;
    if (group == kData)
        return {shard.rank * replicate.size + replicate.rank, replicate.size * shard.size};
    if (auto const copies = sharers_of(group)) return {along(Axis::tensor).rank % *copies, *copies};
    throw cluster::JobError(fmt::format(
        "a dry run does not know the group {}: parallel/dry_world.cpp names them", group));
}

} // namespace

std::unique_ptr<cluster::Communicator> make_dry_world(MeshShape const& shape, int rank,
                                                      cluster::CommunicatorOptions const& options,
                                                      int looks) {
    return cluster::make_fake_world(
        rank, shape.product(), options,
        [shape, here = shape.coordinates(rank)](int, int, std::string_view group) {
            return answer(shape, here, group);
        },
        looks);
}

} // namespace trireme::parallel
