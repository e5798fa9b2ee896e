// The search over layouts, with a made-up profile of blocks and by brute force.
#include "framework/planning/layout_search.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <set>

#include "framework/planning/constants.hpp"
#include "framework/planning/plan_report.hpp"

namespace trireme::framework::planning {
namespace {

using parallelize::Offload;
using parallelize::Recompute;

model::Config model_of(int layers) {
    model::Config c;
    c.hidden = 1024;
    c.layers = layers;
    c.heads = c.kv_heads = 16;
    c.head_size = 64;
    c.feed_forward = 4096;
    c.vocabulary = 32000;
    return c;
}

BlockProfile profile(ProfileRequest const& r) {
    double const bytes = 2.0 * static_cast<double>(r.samples * r.length) * 1024 / r.tensor;
    double const saved = r.recompute == Recompute::full   ? bytes
                         : r.recompute == Recompute::none ? 34 * bytes
                                                          : 20 * bytes;
    std::int64_t const t = r.tensor;
    return {.saved_layer = saved,
            .layer_extra = 40 * bytes,
            .head_extra = 60 * bytes,
            .boundary = bytes,
            .data = 40.0 * static_cast<double>(r.length),
            .embeddings = {32000 * 1024 / t},
            .layer = {4 * 1024 * 1024 / t, 12 * 1024 * 1024 / t, 2048},
            .head = {32000 * 1024 / t, 1024},
            .tied = {}};
}

SearchRequest request(model::Config const& model, std::int64_t nodes, double memory) {
    SearchRequest r{.model = model,
                    .run = {.model = shape_of(model), .sequence = 2048, .global_batch = 16},
                    .machine = read_machine("dgx-h100", TRIREME_MACHINES),
                    .profile = profile};
    r.machine.machine.nodes = nodes;
    r.machine.machine.gpus_per_node = 4;
    auto const constants = read_constants(TRIREME_PLANNING "/constants.json");
    r.machine.machine = constants.complete(r.machine.machine, false);
    r.machine.machine.gpu.memory_bytes = memory;
    r.stack = constants.stack("trireme");
    return r;
}

/// All that can be written in a configuration, whether the search thinks of it or not.
double best_by_brute_force(SearchRequest const& r, int ranks) {
    Judge judge(r);
    double best = std::numeric_limits<double>::infinity();
    auto const consider = [&](parallelize::ParallelSection const& section) {
        for (std::int64_t micro = 1; micro <= 16; micro *= 2) {
            auto const j = judge.judge({{.section = section}, micro});
            if (j.fits()) best = std::min(best, j.time.step);
        }
    };
    using parallel::ScheduleKind;
    for (int t = 1; t <= 4; ++t)
        for (int p = 1; p <= ranks; ++p)
            for (int shard = 1; shard <= ranks; ++shard)
                for (int replicate = 1; replicate <= ranks; ++replicate) {
                    if (t * p * shard * replicate != ranks) continue;
                    for (int zero = 0; zero <= 3; ++zero)
                        for (auto const kind :
                             {ScheduleKind::one_f_one_b, ScheduleKind::zero_bubble,
                              ScheduleKind::interleaved, ScheduleKind::gpipe})
                            for (int chunks = 1; chunks <= 4; ++chunks)
                                for (auto const recompute :
                                     {Recompute::none, Recompute::selective, Recompute::full})
                                    for (auto const offload : {Offload::none, Offload::optimizer})
                                        consider({.pipeline = p,
                                                  .tensor = t,
                                                  .replicate = replicate,
                                                  .shard = shard,
                                                  .zero = zero,
                                                  .schedule = kind,
                                                  .virtual_stages = chunks,
                                                  .recompute = recompute,
                                                  .offload = offload});
                }
    return best;
}

TEST(LayoutSearch, FindsWhatBruteForceFinds) {
    model::Config const model = model_of(4);
    for (double const memory : {1.2e9, 2e9, 8e9, 80e9})
        for (std::int64_t const nodes : {1, 2}) {
            SearchRequest const r = request(model, nodes, memory);
            auto const found = search_layouts(r);
            double const best = best_by_brute_force(r, static_cast<int>(4 * nodes));
            double const fastest = found.fitting.empty() ? std::numeric_limits<double>::infinity()
                                                         : found.fitting.front().time.step;
            EXPECT_DOUBLE_EQ(fastest, best) << memory << ", " << nodes << " nodes";
        }
}

TEST(LayoutSearch, WhatFitsFitsAndTheRestHasAReason) {
    model::Config const model = model_of(8);
    SearchRequest const r = request(model, 2, 3e9);
    auto const found = search_layouts(r);
    ASSERT_FALSE(found.fitting.empty());
    ASSERT_FALSE(found.refused.empty());
    std::set<std::string> seen;
    for (auto const& j : found.fitting) {
        EXPECT_LE(j.memory.total(), 3e9);
        auto const& t = j.time;
        EXPECT_NEAR(t.compute + t.tensor_exposed + t.pipeline_exposed + t.bubble + t.data_exposed +
                        t.optimizer,
                    t.step, 1e-9 * t.step);
        EXPECT_TRUE(seen.insert(to_text(j.plan)).second) << to_text(j.plan) << " is listed twice";
    }
    for (auto const& j : found.refused) EXPECT_GT(j.over, 0);
    for (auto const& [reason, count] : found.impossible) EXPECT_GT(count, 0) << reason;
}

TEST(LayoutSearch, RemediesFitAndAreRanked) {
    model::Config const model = model_of(8);
    SearchRequest const r = request(model, 1, 3e9);
    OwnPlan const plan{{.section = {.replicate = 4, .shard = 1}}, 4};
    ASSERT_GT(Judge(r).judge(plan).over, 0);
    auto const found = remedies(r, plan);
    ASSERT_FALSE(found.empty());
    for (std::size_t i = 0; i < found.size(); ++i) {
        EXPECT_TRUE(found[i].fits());
        EXPECT_GE(found[i].time.step, found[i > 0 ? i - 1 : 0].time.step);
    }
}

TEST(LayoutSearch, AParetoFrontHasNoLayoutThatIsWorseInBoth) {
    model::Config const model = model_of(8);
    auto const result = search_layouts(request(model, 1, 80e9));
    auto const front = pareto(result);
    ASSERT_GT(front.size(), 2U);
    for (std::size_t i = 1; i < front.size(); ++i) {
        EXPECT_GE(front[i].time.step, front[i - 1].time.step);
        EXPECT_LT(front[i].memory.total(), front[i - 1].memory.total());
    }
}

/// Llama 3 8B, sequences of 8192: 6 x 7.5e9 parameters and 12 x 32 x 4096 x 8192 of attention.
TEST(LayoutSearch, OperationsAreCountedAsOthersDo) {
    OwnRun const run{.model = {.hidden = 4096,
                               .layers = 32,
                               .heads = 32,
                               .kv_heads = 8,
                               .head_dim = 128,
                               .ffn = 14336,
                               .vocabulary = 128256,
                               .gated = true,
                               .tied = false},
                     .sequence = 8192,
                     .global_batch = 1};
    auto const flops = flops_per_token(run);
    EXPECT_NEAR(flops.torchtitan / (6 * 7.504657e9 + 12.0 * 32 * 4096 * 8192), 1, 1e-3);
    EXPECT_NEAR(flops.palm / (6 * 8.03e9 + 12.0 * 32 * 4096 * 8192), 1, 1e-3);
}

} // namespace
} // namespace trireme::framework::planning
