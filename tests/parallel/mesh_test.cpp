#include "parallel/mesh.hpp"

#include <gtest/gtest.h>

#include <set>

#include "cluster/error.hpp"

namespace trireme::parallel {
namespace {

TEST(MeshShape, TensorVariesFastestAndPipelineSlowest) {
    MeshShape const shape{{2, 3, 1, 1, 4}};
    EXPECT_EQ(shape.product(), 24);
    EXPECT_EQ(shape.coordinates(0), (std::array<int, kAxes>{0, 0, 0, 0, 0}));
    EXPECT_EQ(shape.coordinates(1), (std::array<int, kAxes>{0, 0, 0, 0, 1}));
    EXPECT_EQ(shape.coordinates(4), (std::array<int, kAxes>{0, 1, 0, 0, 0}));
    EXPECT_EQ(shape.coordinates(12), (std::array<int, kAxes>{1, 0, 0, 0, 0}));
}

TEST(MeshShape, CoordinatesAndRanksAreInverse) {
    MeshShape const shape{{4, 2, 8, 1, 8}};
    std::set<std::array<int, kAxes>> seen;
    for (int rank = 0; rank < shape.product(); ++rank) {
        EXPECT_EQ(shape.rank_at(shape.coordinates(rank)), rank);
        seen.insert(shape.coordinates(rank));
    }
    EXPECT_EQ(seen.size(), 512U);
}

TEST(MeshResolve, ReplicateTakesWhatIsLeft) {
    EXPECT_EQ(resolve({{1, 0, 1, 1, 1}}, 6)[Axis::replicate], 6);
    EXPECT_EQ(resolve({{1, 4, 1, 1, 1}}, 4).product(), 4);
}

TEST(MeshResolve, ShardTakesWhatIsLeftWhenStatesAreSharded) {
    EXPECT_EQ(resolve({{1, 0, 0, 1, 1}}, 6, true)[Axis::shard], 6);
    EXPECT_EQ(resolve({{1, 2, 0, 1, 1}}, 6, true)[Axis::shard], 3);
    EXPECT_EQ(resolve({{1, 0, 2, 1, 1}}, 6, true)[Axis::replicate], 3);
    EXPECT_EQ(resolve({{1, 0, 0, 1, 1}}, 6)[Axis::replicate], 6);
}

std::string message(MeshShape const& shape, int world) {
    try {
        resolve(shape, world);
    } catch (cluster::InputError const& error) {
        return error.what();
    }
    return "accepted";
}

TEST(MeshResolve, RefusesWithTheEquation) {
    EXPECT_EQ(message({{1, 3, 1, 1, 1}}, 4),
              "parallel: pipeline 1 x replicate 3 x shard 1 x context 1 x tensor 1 = 3, but this "
              "job has 4 ranks; legal: "
              "replicate 4, or 3 ranks");
    EXPECT_EQ(message({{2, 0, 1, 1, 3}}, 8),
              "parallel: pipeline 2 x replicate 1 x shard 1 x context 1 x tensor 3 = 6 does not "
              "divide the 8 ranks of "
              "this job; legal: tensor 2, or tensor 4, or 6 ranks, or 12 ranks");
    EXPECT_EQ(message({{4, 1, 4, 1, 4}}, 32),
              "parallel: pipeline 4 x replicate 1 x shard 4 x context 1 x tensor 4 = 64, but this "
              "job has 32 ranks; "
              "legal: pipeline 2, or shard 2, or tensor 2, or 64 ranks");
    EXPECT_EQ(message({{1, 1, 1, 1, -2}}, 4), "parallel.tensor: -2: legal: 1 or more");
}

TEST(MeshResolve, NamesAnAxisThatIsNotBuilt) {
    EXPECT_EQ(message({{1, 1, 1, 2, 1}}, 2),
              "parallel.context: 2: this axis is not built yet; legal: 1");
}

} // namespace
} // namespace trireme::parallel
