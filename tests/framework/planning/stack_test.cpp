// Compares what frameworks send and keep in memory with counts by hand: a fitted constant would
// hide a term that is wrong.
#include <gtest/gtest.h>

#include "framework/planning/collective_cost.hpp"
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

} // namespace
} // namespace trireme::test
