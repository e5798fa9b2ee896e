// Compares what frameworks send and keep in memory with counts by hand: a fitted constant would
// hide a term that is wrong.
#include <gtest/gtest.h>

#include "framework/planning/collective_cost.hpp"
#include "framework/planning/stage_plan.hpp"
#include "tests/framework/planning/step_model_support.hpp"

namespace trireme::test {
namespace {

using namespace framework::planning;

TEST(CollectiveCost, SoftwareThatSendsLessThanACrowdedNetworkTakesDoesNotFeelTheCrowd) {
    auto machine = simple_machine(8, 16);
    double const alone = all_gather_seconds({128, 1}, machine, 1e9);
    machine.network.contention = 0.2; // over 3 doublings: 1 / 1.6 of the rate
    machine.network.fed = 0.5;
    EXPECT_NEAR(all_gather_seconds({128, 1}, machine, 1e9), alone / 0.5, 1e-9);
    machine.network.fed = 0.7;
    EXPECT_NEAR(all_gather_seconds({128, 1}, machine, 1e9), 1.6 * alone, 1e-9);
}

TEST(StepTime, WeightsAreGatheredAheadOnlyWhereMoreMayBeLiveThanOne) {
    auto const machine = simple_machine(8, 1);
    auto w = gpt(1, 1);
    w.layout.data = w.layout.shard = 8;
    w.layout.zero = 3;
    Stack stack;
    stack.constants.overlap = 0.5;
    double const ahead = predict_time(w, stack, machine).step;
    double const largest = 4096.0 * 16384;
    stack.live_parameters = largest + 1;
    EXPECT_EQ(predict_time(w, stack, machine).step, ahead);
    stack.live_parameters = largest;
    // Half of each of the two gathers of 8 layers is no longer hidden.
    double const gather =
        all_gather_seconds({8, 1}, machine, 2 * w.model.layer_parameters(), stack.gather_calls);
    EXPECT_NEAR(predict_time(w, stack, machine).step - ahead, 8 * gather, 1e-9);
}

TEST(StepTime, RenewedWeightsAreHiddenBehindForwardPassesWhereTheStackDoesSo) {
    auto const machine = simple_machine(8, 1);
    auto w = gpt(1, 1);
    w.layout.data = w.layout.shard = 8;
    w.layout.zero = 1;
    Stack stack;
    stack.constants.overlap = 0.5;
    double const before = predict_time(w, stack, machine).step;
    stack.hides_renewed_weights = true;
    double const bytes = stack.weight_bytes * stage_parameters(w, stack, 0);
    double const gather =
        all_gather_seconds({8, 1}, machine, bytes, std::max(1.0, bytes / stack.bucket_bytes));
    EXPECT_NEAR(before - predict_time(w, stack, machine).step, 0.5 * gather, 1e-9);
}

TEST(StepTime, EachRankOfAListOfTensorsIsACopy) {
    auto const machine = simple_machine(8, 1);
    auto w = gpt(1, 1);
    w.layout.data = w.layout.shard = 8;
    Stack stack;
    stack.gather_calls = 4;
    auto const more = [&](int zero, bool Stack::*lists) {
        w.layout.zero = zero;
        Stack listing = stack;
        listing.*lists = true;
        return predict_time(w, listing, machine).step - predict_time(w, stack, machine).step;
    };
    // 8 layers: two gathers and a reduction in 4 calls each; 6 tensors that are sent twice
    EXPECT_NEAR(more(3, &Stack::gathers_lists), 8 * 3 * 4 * 8 * 5e-6, 1e-9);
    EXPECT_NEAR(more(1, &Stack::slices_tensors), 8 * 6 * 2 * 8 * 5e-6, 1e-9);
    EXPECT_EQ(more(1, &Stack::gathers_lists), 0);
    EXPECT_EQ(more(0, &Stack::slices_tensors), 0);
}

TEST(Memory, WhatIsKeptFromStepToStepIsAllocatedBetweenSteps) {
    auto w = gpt(1, 1);
    Stack stack;
    auto const printed = [&] { return predict_stages(w, stack).at(0).printed(false); };
    double const one = printed();
    stack.workspace_bytes = 1e6;
    stack.kept_bytes = 4;
    EXPECT_NEAR(printed() - one, 1e6, 1); // no tensor ranks, nothing to gather
    w.layout.tensor = 2;
    double const two = printed();
    stack.kept_bytes = 0;
    EXPECT_NEAR(two - printed(), 4.0 * 2048 * 4096, 1);
}

/// 8 layers of 12 x 4096^2 parameters, and one embedding row.
constexpr double kParameters = 8 * 12.0 * 4096 * 4096 + 4096;

TEST(Memory, CopiesOfTheTimeBetweenStepsAreNotThereWhilePassesRun) {
    auto w = gpt(1, 1);
    w.layout.data = w.layout.shard = 4;
    w.layout.zero = 1;
    w.model.tied = true;
    Stack stack;
    stack.copy_bytes = 2;
    stack.sharded_buffer_bytes = 4;
    stack.saved_hidden = stack.saved_heads = stack.saved_ffn = stack.logits_bytes = 0;
    auto const use = [&] { return predict_stages(w, stack).at(0); };
    double const saved = use().activations, p = kParameters;
    // Weights, gradients, a quarter of the states, a quarter of the copy, and the buffer.
    EXPECT_NEAR(use().printed(false), (2 + 2 + 3 + 0.5 + 4) * p, 1);
    EXPECT_NEAR(use().reserved(), (2 + 2 + 3 + 0.5 + 4) * p + saved, 1);
    stack.copies_only_between_steps = true;
    EXPECT_NEAR(use().printed(false), (2 + 2 + 3 + 0.5 + 4) * p, 1);
    EXPECT_NEAR(use().allocated(), (2 + 2 + 3 + 2) * p + saved, 1);
    // Blocks that passes have freed serve what comes after them.
    ASSERT_LT(saved, 2.5 * p);
    EXPECT_NEAR(use().reserved(), (2 + 2 + 3 + 0.5 + 4) * p, 1);
    stack.sharded_buffer_bytes = 0;
    EXPECT_NEAR(use().reserved(), (2 + 2 + 3 + 2) * p + saved, 1);
}

TEST(Memory, TheBlockOfTheLargestGradientIsReservedOnceMore) {
    auto w = gpt(1, 1);
    Stack stack;
    auto const use = [&] { return predict_stages(w, stack).at(0); };
    auto const without = use();
    stack.largest_bytes = 4;
    double const block = 4.0 * 4096 * 16384;
    EXPECT_NEAR(use().allocated() - without.allocated(), block, 1);
    EXPECT_NEAR(use().reserved() - without.reserved(), 2 * block, 1);
}

TEST(Memory, HostsRunAheadLessWhereStagesWaitForEachOther) {
    auto w = gpt(1, 4);
    Stack stack;
    auto const more = [&] {
        stack.ahead_bytes = 0;
        double const without = predict_stages(w, stack).at(0).reserved();
        stack.ahead_bytes = 100;
        return predict_stages(w, stack).at(0).reserved() - without;
    };
    EXPECT_EQ(more(), 0); // no calls of tensor ranks
    w.layout.tensor = 2;
    EXPECT_NEAR(more(), 100.0 * 2048 * 4096, 1);
    w.layout.pipeline = 2;
    EXPECT_NEAR(more(), 0, 1);
    w.layout.pipeline = 8;
    EXPECT_NEAR(more(), 0.75 * 100.0 * 2048 * 4096, 1);
}

TEST(StagePlan, AStageThatHasItsShareOfTheWorkTakesNoMoreLayers) {
    auto w = gpt(2, 8);
    w.model.layers = 16;
    w.model.vocabulary = static_cast<std::int64_t>(4 * w.model.layer_parameters()) / w.model.hidden;
    Stack stack;
    stack.splits_by_cost = true; // 16 layers and an output layer that costs as much as 4
    EXPECT_EQ(layers_of_parts(w, stack), (std::vector<std::int64_t>{10, 6}));
    w.layout.pipeline = 4;
    EXPECT_EQ(layers_of_parts(w, stack), (std::vector<std::int64_t>{5, 5, 5, 1}));
}

TEST(Memory, TheFirstStageIsPrintedWhereTheFrameworkPrintsIt) {
    auto w = gpt(2, 8);
    w.layout.parts = {1, 7};
    Stack stack;
    auto const machine = simple_machine(8, 1);
    auto const most = predict_step(w, stack, machine);
    EXPECT_EQ(most.fullest, 1U);
    EXPECT_EQ(most.printed_stage, 1U);
    stack.prints_first_stage = true;
    EXPECT_EQ(predict_step(w, stack, machine).fullest, 1U);
    EXPECT_EQ(predict_step(w, stack, machine).printed_stage, 0U);
}

} // namespace
} // namespace trireme::test
