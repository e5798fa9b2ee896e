// Our own runs in the model of steps: Trireme's stack sends and keeps what its code does, and a few
// simulated micro-steps stand for many.
#include "framework/planning/own_time.hpp"

#include <gtest/gtest.h>

#include <memory>

#include "framework/planning/calibration.hpp"
#include "framework/planning/constants.hpp"
#include "framework/planning/stage_plan.hpp"

namespace trireme::framework::planning {
namespace {

using parallel::Axis;
using parallel::ScheduleKind;

constexpr double kBandwidth = 1e9;

/// Tells bytes by seconds: nothing takes time but what goes over the links.
struct Wire {
    Stack stack = read_constants(TRIREME_PLANNING "/constants.json").stack("trireme");
    Machine machine{.name = "wire",
                    .gpu = {.name = "instant",
                            .matrix_flops = 1e30,
                            .memory_bytes = 80e9,
                            .memory_bandwidth = 1e30,
                            .multiprocessors = 100},
                    .gpus_per_node = 64,
                    .nodes = 1,
                    .node_link = {.name = "link", .bandwidth = kBandwidth},
                    .network = {.name = "none", .bandwidth = kBandwidth}};
    OwnRun run{.model = {.hidden = 512,
                         .layers = 8,
                         .heads = 8,
                         .kv_heads = 8,
                         .head_dim = 64,
                         .ffn = 2048,
                         .vocabulary = 4096,
                         .gated = false,
                         .tied = false},
               .sequence = 256,
               .global_batch = 64};

    Wire() { stack.constants.overlap = 0; }

    OwnPlan plan(parallelize::ParallelSection const& section, std::int64_t micro_steps) const {
        OwnPlan plan;
        plan.layout.section = section;
        plan.layout.mesh = {
            {section.pipeline, section.replicate, section.shard, 1, section.tensor}};
        plan.layout.layers = 8;
        plan.layout.micro_steps = micro_steps;
        return plan;
    }
    StepTime time(parallelize::ParallelSection const& section, std::int64_t micro_steps) const {
        return own_time(run, plan(section, micro_steps), machine, stack);
    }
    double data_bytes(parallelize::ParallelSection const& section, std::int64_t micro_steps) const {
        return time(section, micro_steps).data_exposed * kBandwidth;
    }
};

/// docs/collectives.md, whose figures tests compare with the code that trains. The model of
/// a step leaves the embeddings' share of ZeRO 3's traffic out.
TEST(OwnTime, DataAxesSendWhatTheCodeSends) {
    Wire const wire;
    double const psi = wire.run.model.parameters(), m = 4;
    double const layers = 8 * wire.run.model.layer_parameters();
    auto const near = [](double bytes, double expected) { EXPECT_NEAR(bytes / expected, 1, 1e-6); };
    near(wire.data_bytes({.replicate = 8, .shard = 1}, 4), 2 * 4 * psi * 7 / 8);
    near(wire.data_bytes({.replicate = 1, .shard = 8, .zero = 1}, 4), (2 + 4) * psi * 7 / 8);
    near(wire.data_bytes({.replicate = 1, .shard = 8, .zero = 2}, 4), (2 + m * 4) * psi * 7 / 8);
    near(wire.data_bytes({.replicate = 1, .shard = 8, .zero = 3}, 4),
         m * (2 * 2 + 4) * layers * 7 / 8);
    near(wire.data_bytes({.replicate = 2, .shard = 8, .zero = 1}, 4),
         (2 + 4) * psi * 7 / 8 + 2 * 4 * psi / 8 / 2);
    near(wire.data_bytes({.replicate = 2, .shard = 8, .zero = 3}, 4),
         m * (2 * 2 + 4) * layers * 7 / 8 + 2 * 4 * psi / 8 / 2);
}

/// m · 10 l · 2TD (t-1)/t, with the rows that are gathered again; full recomputation repeats the
/// forward pass' four.
TEST(OwnTime, TheTensorAxisSendsWhatTheCodeSends) {
    Wire wire;
    wire.stack.constants.host_collective = wire.stack.constants.host_kernel = 0;
    double const array = 2.0 * 256 * 512 * 7 / 8;
    parallelize::ParallelSection section{.tensor = 8, .replicate = 1, .shard = 1};
    EXPECT_NEAR(wire.time(section, 4).tensor_exposed * kBandwidth, 4 * 8 * 10 * array, 1);
    section.recompute = parallelize::Recompute::full;
    EXPECT_NEAR(wire.time(section, 4).tensor_exposed * kBandwidth, 4 * 8 * 14 * array, 1);
}

/// StepCost.TensorRanksWaitForOneChunkOfRows counts the same: 6 of 16 calls of half the rows.
TEST(OwnTime, CallsOfTensorRanksGoBehindKernelsButForAChunk) {
    Wire wire;
    wire.stack.constants.host_collective = wire.stack.constants.host_kernel = 0;
    wire.machine.gpu.matrix_flops = 1e6;
    parallelize::ParallelSection const section{.tensor = 8, .replicate = 1, .shard = 1};
    for (auto const& [tokens, waited] :
         {std::pair{256, 6.0}, std::pair{8192, 3.0}, std::pair{16384, 1.5}}) {
        wire.run.sequence = tokens;
        double const array = 2.0 * tokens * 512 * 7 / 8;
        EXPECT_NEAR(wire.time(section, 4).tensor_exposed * kBandwidth / (4 * 8 * array), waited,
                    1e-6)
            << tokens;
    }
}

/// Parameters without what flat buffers are rounded up by.
TEST(OwnTime, TheStackKeepsTheStateThatTheStoreKeeps) {
    Wire const wire;
    auto const& model = wire.run.model;
    auto const whole = [](double n) { return static_cast<std::int64_t>(n); };
    BlockProfile profile;
    profile.embeddings = profile.head = {whole(model.embedding_parameters())};
    profile.layer = {whole(model.layer_parameters())};
    for (int zero = 0; zero <= 3; ++zero) {
        auto const plan = wire.plan(
            {.replicate = zero == 0 ? 8 : 1, .shard = zero == 0 ? 1 : 8, .zero = zero}, 4);
        auto const code = own_memory(plan.layout, profile).at(0);
        auto const use = predict_stages(workload_of(wire.run, plan), wire.stack).at(0);
        EXPECT_NEAR(use.weights + use.gradients + use.optimizer,
                    code.weights + code.gradients + code.optimizer, 1)
            << "zero " << zero;
    }
}

TEST(OwnTime, FewMicroStepsStandForMany) {
    Wire wire;
    wire.machine.gpu.matrix_flops = 1e14;
    wire.machine.gpu.memory_bandwidth = 2e12;
    for (auto const kind :
         {ScheduleKind::one_f_one_b, ScheduleKind::zero_bubble, ScheduleKind::interleaved}) {
        parallelize::ParallelSection const section{.pipeline = 4,
                                                   .replicate = 1,
                                                   .shard = 1,
                                                   .schedule = kind,
                                                   .virtual_stages =
                                                       kind == ScheduleKind::interleaved ? 2 : 1};
        auto const plan = wire.plan(section, 64);
        auto const all = predict_time(workload_of(wire.run, plan), wire.stack, wire.machine);
        auto const few = own_time(wire.run, plan, wire.machine, wire.stack);
        EXPECT_NEAR(few.step, all.step, 1e-3 * all.step) << parallel::name_of(kind);
        EXPECT_NEAR(few.bubble, all.bubble, 1e-3 * all.step) << parallel::name_of(kind);
    }
}

TEST(OwnTime, TheLastLayerHasATimeOfItsOwnWhereverItIs) {
    BlockTimes const measured{
        .embeddings = {1}, .layer = {16}, .head = {2}, .last_layer = {4}, .last_tail = {0, 0.5}};
    Wire wire;
    Calibration free_messages;
    free_messages.fits.push_back({.op = cluster::Collective::exchange});
    wire.machine.calibration = std::make_shared<Calibration const>(free_messages);
    auto const step = [&](std::vector<int> const& layers) {
        parallelize::ParallelSection const section{.pipeline = static_cast<int>(layers.size()),
                                                   .replicate = 1,
                                                   .shard = 1,
                                                   .layers = layers};
        // Passes of one micro-step follow each other.
        return own_time(wire.run, wire.plan(section, 1), wire.machine, wire.stack, &measured).step;
    };
    double const all = 1 + 7 * 16 + 4 + 2 + 0.5;
    EXPECT_NEAR(step({8}), all, 1e-9);
    EXPECT_NEAR(step({4, 4}), all, 1e-9);
    EXPECT_NEAR(step({4, 4, 0}), all, 1e-9) << "the head alone in the last part";
}

TEST(OwnTime, LayersAreCutAsTheCodeCutsThem) {
    Wire wire;
    wire.run.model.layers = 10;
    auto plan = wire.plan({.pipeline = 4, .replicate = 1, .shard = 1}, 4);
    plan.layout.layers = 10;
    auto const workload = workload_of(wire.run, plan);
    EXPECT_EQ(layers_of_parts(workload, wire.stack), (std::vector<std::int64_t>{2, 3, 3, 2}));
}

} // namespace
} // namespace trireme::framework::planning
