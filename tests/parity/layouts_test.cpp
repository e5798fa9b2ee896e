// Layouts that a parity run proves.
#include "framework/parity/check.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/parity/golden_problem.hpp"
#include "tests/support/temporary_folder.hpp"

namespace trireme::test {
namespace {

using namespace framework::parity;
using framework::parallelize::Compute;
using framework::parallelize::NumericsMode;

TEST(Layouts, CoverEveryMeshAndEveryPairOfChoices) {
    auto const all = golden_layouts("llama", 8);
    auto const chosen = covering(all);
    EXPECT_GE(chosen.size(), 60U);
    EXPECT_LE(chosen.size(), 110U);
    auto const pairs = [](std::vector<Layout> const& layouts) {
        std::set<std::pair<int, int>> seen;
        for (auto const& l : layouts) seen.insert({l.parallel.tensor, l.parallel.zero});
        return seen;
    };
    EXPECT_EQ(pairs(all), pairs(chosen));
    // a split of the layers and offload, with each schedule and stage
    std::set<std::string> options, chosen_options;
    auto const option = [](Layout const& l) {
        return fmt::format("{} {} {}", name_of(l.parallel.schedule), !l.parallel.layers.empty(),
                           l.parallel.pipeline > 1);
    };
    auto const offload = [](Layout const& l) {
        return fmt::format("zero {}, {}", l.parallel.zero, name_of(l.parallel.offload));
    };
    for (auto const& l : all) options.insert({option(l), offload(l)});
    for (auto const& l : chosen) chosen_options.insert({option(l), offload(l)});
    EXPECT_EQ(options, chosen_options);
    EXPECT_EQ(options.size(), 17U);
    std::set<std::array<int, 4>> meshes, chosen_meshes;
    for (auto const& l : all)
        if (l.ranks() != 5 && l.ranks() != 7)
            meshes.insert(
                {l.parallel.pipeline, l.parallel.replicate, l.parallel.shard, l.parallel.tensor});
    for (auto const& l : chosen)
        chosen_meshes.insert(
            {l.parallel.pipeline, l.parallel.replicate, l.parallel.shard, l.parallel.tensor});
    for (auto const& m : meshes)
        EXPECT_TRUE(chosen_meshes.contains(m))
            << fmt::format("{} {} {} {}", m[0], m[1], m[2], m[3]);
    fmt::print("{} layouts, {} of them chosen\n", all.size(), chosen.size());
}

TEST(Layouts, ModelsWithSeveralKeyHeadsAreLaidOnTwoFourAndEightTensorRanks) {
    for (char const* folder : {"bert", "gpt2", "llama3", "qwen3"}) {
        std::set<int> tensor;
        for (auto const& l : golden_layouts(folder, 8)) tensor.insert(l.parallel.tensor);
        for (int const t : {1, 2, 4, 8}) EXPECT_TRUE(tensor.contains(t)) << folder << " " << t;
    }
}

TEST(Layouts, AWorldHasADozenWithEveryAxisWhereItCan) {
    auto const all = golden_layouts("llama", 8);
    for (int ranks = 1; ranks <= 8; ++ranks) {
        auto const chosen = covering_of_world(all, ranks);
        EXPECT_GE(chosen.size(), 12U) << ranks;
        for (auto const& l : chosen) EXPECT_EQ(l.ranks(), ranks);
        bool const divides = ranks == 4 || ranks == 6 || ranks == 8;
        EXPECT_EQ(divides, std::ranges::any_of(chosen,
                                               [](auto const& l) {
                                                   return l.parallel.tensor > 1 &&
                                                          l.parallel.pipeline > 1 &&
                                                          l.parallel.zero == 3;
                                               }))
            << ranks;
    }
}

} // namespace
} // namespace trireme::test
