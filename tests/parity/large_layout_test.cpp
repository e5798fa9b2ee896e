// Models and meshes far larger than this machine: integers and shapes only.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <ctime>
#include <numeric>

#include "framework/model/transformer_parts.hpp"
#include "framework/parallelize/parallel_model.hpp"
#include "tests/parity/known_models.hpp"

namespace trireme::test {
namespace {

using namespace framework;
using parallel::Axis;
using parallel::MeshShape;

parallel::StorePlace place_of(MeshShape const& shape, int rank) {
    auto const at = shape.coordinates(rank);
    return {shape[Axis::replicate], at[1], shape[Axis::shard], at[2], shape[Axis::tensor], at[4]};
}

/// Elements of the model that this rank alone answers for: its part of every flat buffer, without
/// padding and copies.
std::int64_t owned_elements(parallel::ParameterStore const& store) {
    std::int64_t const part_rank = store.options().place.part();
    std::int64_t count = 0;
    for (auto const& unit : store.units()) {
        if (!unit->owned) continue;
        std::int64_t const part = unit->layout.part_size(), begin = part_rank * part;
        for (auto const& s : parallel::stretches(*unit, begin, begin + part))
            if (s.parameter->counted())
                for_each_run(*s.parameter, s.first, s.count,
                             [&](auto const& run) { count += run.count; });
    }
    return count;
}

std::int64_t elements_of_all_ranks(model::Config const& model, MeshShape const& shape,
                                   int virtual_stages, int zero) {
    std::int64_t count = 0;
    int const stages = shape[Axis::pipeline], ranks_of_a_stage = shape.product() / stages;
    for (int stage = 0; stage < stages; ++stage) {
        auto const specs = model::parameter_specs(model, {stages, stage, virtual_stages});
        for (int r = 0; r < ranks_of_a_stage; ++r)
            count += owned_elements(parallel::ParameterStore(
                specs, {.compute = at::kBFloat16,
                        .zero = zero,
                        .place = place_of(shape, stage * ranks_of_a_stage + r),
                        .device = at::kMeta}));
    }
    return count;
}

TEST(LargeLayout, EveryElementHasOneOwner) {
    EXPECT_EQ(elements_of_all_ranks(llama_3_8b(), {{1, 1, 64, 1, 8}}, 1, 3), kLlama8bParameters);
    EXPECT_EQ(elements_of_all_ranks(llama_3_8b(), {{4, 1, 16, 1, 8}}, 1, 1), kLlama8bParameters);
    EXPECT_EQ(elements_of_all_ranks(llama_3_8b(), {{1, 2, 8, 1, 16}}, 1, 3), kLlama8bParameters)
        << "shared kv heads";
    EXPECT_EQ(elements_of_all_ranks(llama_3_70b(), {{4, 1, 16, 1, 8}}, 1, 3), kLlama70bParameters);
    EXPECT_EQ(elements_of_all_ranks(llama_3_70b(), {{4, 2, 8, 1, 8}}, 5, 2), kLlama70bParameters);
    EXPECT_EQ(elements_of_all_ranks(llama_3_70b(), {{16, 1, 2, 1, 8}}, 1, 0), kLlama70bParameters);
    model::Config tied = llama_3_8b();
    tied.tied_embeddings = true;
    EXPECT_EQ(elements_of_all_ranks(tied, {{4, 1, 4, 1, 8}}, 1, 1),
              kLlama8bParameters - tied.vocabulary * tied.hidden);
}

/// One kept range of every unit for every rank.
TEST(LargeLayout, SixteenThousandRanksInUnderASecond) {
    auto const start = std::clock(); // of the processor: others may use the machine
    model::Config const model = llama_3_70b();
    MeshShape const shape = parallel::resolve({{16, 0, 16, 1, 8}}, 16'384, true);
    EXPECT_EQ(shape[Axis::replicate], 8);
    int const stages = shape[Axis::pipeline], tensor = shape[Axis::tensor];
    // by stage and tensor rank
    std::map<std::pair<int, int>, std::vector<parallel::FlatLayout>> layouts;
    std::int64_t real = 0;
    for (int stage = 0; stage < stages; ++stage) {
        auto const specs = model::parameter_specs(model, {stages, stage});
        for (int t = 0; t < tensor; ++t) {
            std::map<std::string, std::vector<std::int64_t>> counts;
            for (auto const& spec : specs) {
                parallel::Parameter const p(spec, tensor, t);
                counts[spec.unit].push_back(p.numel());
                auto const extent = p.shape()[static_cast<std::size_t>(std::max(0, spec.cut.dim))];
                if (p.counted()) real += p.numel() / extent * p.slice().real;
            }
            for (auto const& [unit, c] : counts)
                layouts[{stage, t}].push_back(parallel::lay_out(c, 128));
        }
    }
    std::int64_t kept = 0, padded = 0;
    for (int rank = 0; rank < shape.product(); ++rank) {
        auto const at = shape.coordinates(rank);
        for (auto const& layout : layouts[{at[0], at[4]}]) kept += layout.part_size();
    }
    for (auto const& [place, units] : layouts)
        for (auto const& layout : units) padded += layout.total;
    double const seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    fmt::print("mesh and shards of 16,384 ranks: {:.3f} s, {:.2f} % padding\n", seconds,
               100.0 * static_cast<double>(padded - real) / static_cast<double>(real));
    EXPECT_EQ(real, kLlama70bParameters);
    EXPECT_EQ(kept, padded);
    EXPECT_LT(seconds, 1.0);
}

} // namespace
} // namespace trireme::test
