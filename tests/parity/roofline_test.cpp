// The model of a step on GPUs prices every product and every score that the papers count, and waits
// as schedules and links do.
#include <gtest/gtest.h>

#include "framework/planning/collective_cost.hpp"
#include "framework/planning/kernels.hpp"
#include "framework/planning/roofline.hpp"
#include "tests/framework/planning/step_model_support.hpp"
#include "tests/parity/known_models.hpp"

namespace trireme::test {
namespace {

using namespace framework;

constexpr std::int64_t kTokens = 4096;

planning::Stack plain_stack() {
    planning::Stack stack;
    stack.constants.attention = 0.5;
    return stack;
}

planning::StepRoofline model_of(parallelize::ParallelSection const& section, int ranks,
                                std::int64_t samples, planning::Machine const& machine,
                                planning::Stack const& stack = plain_stack()) {
    model::Config c = llama_3_8b();
    c.layers = 4;
    parallelize::NumericsSection const numerics{.compute = parallelize::Compute::bf16};
    return planning::step_roofline(
        {c, section, numerics, {samples, kTokens, kTokens}, ranks, machine, stack});
}

/// Products of [T, in] by [in, out], their gradients, and the head's; a causal layer has half of
/// its scores, and its backward pass 2.5 / 0.85 of the forward pass's time.
TEST(Roofline, ProductsAndAttentionAreThoseOfTheModel) {
    auto const machine = simple_machine(8, 1);
    auto const& gpu = machine.gpu;
    auto const product = [&](double in, double out) {
        double const t = kTokens;
        return planning::matrix_seconds(gpu, t, out, in) +
               planning::matrix_seconds(gpu, t, in, out) +
               planning::matrix_seconds(gpu, out, in, t);
    };
    auto const found = model_of({}, 1, 1, machine);
    double const layer = 2 * product(4096, 4096) + 2 * product(4096, 1024) +
                         2 * product(4096, 14336) + product(14336, 4096);
    EXPECT_NEAR(found.busiest.products, 4 * layer + product(4096, 128256), 1e-3 * layer);
    double const forward = 4.0 * 4096 * kTokens * kTokens / 2 / (0.5 * gpu.matrix_flops);
    EXPECT_NEAR(found.busiest.attention, 4 * forward * (1 + 2.5 / 0.85), 1e-9);
    EXPECT_EQ(found.busiest.tensor + found.busiest.data + found.waits, 0);
}

TEST(Roofline, MicroStepsInTheMiddleStandForTheOthers) {
    auto const machine = simple_machine(8, 1);
    double const four = model_of({}, 1, 4, machine).step(),
                 eight = model_of({}, 1, 8, machine).step(),
                 twelve = model_of({}, 1, 12, machine).step();
    EXPECT_NEAR(twelve - eight, eight - four, 1e-9);
    EXPECT_GT(four, twelve - eight);
    // Seven samples on two data ranks are four micro-steps of the first, as eight are.
    EXPECT_NEAR(model_of({}, 2, 7, machine).step(), model_of({}, 2, 8, machine).step(), 1e-9);
}

/// Stages wait for (p - 1) / m of their work where all parts take the same time: here the last has
/// the head, so that the others wait for it too, and it waits for the first activation alone.
TEST(Roofline, TheBusiestStageWaitsForTheFirstActivationAndTheLastGradient) {
    auto const machine = simple_machine(8, 1);
    auto const found = model_of({.pipeline = 4}, 4, 16, machine);
    EXPECT_GT(found.waits, 0);
    EXPECT_LT(found.waits, 3.0 / 16 * found.busiest.sum());
    auto const more = model_of({.pipeline = 4}, 4, 32, machine);
    EXPECT_NEAR(more.waits, found.waits, 1e-3 * found.waits);
}

/// Without overlap a call costs all of its time; with a quick network it costs nothing.
TEST(Roofline, WhatTravelsIsHiddenAsMuchAsTheStackSays) {
    auto const machine = simple_machine(8, 1);
    auto stack = plain_stack();
    double const c = planning::all_gather_seconds({8, 1}, machine, 2.0 * 4096 * kTokens);
    stack.constants.overlap = 1e-12;
    double const shown = model_of({.tensor = 8}, 8, 1, machine, stack).busiest.tensor;
    EXPECT_GT(shown, 4 * 8 * c); // 8 calls a layer, and those of both ends
    stack.constants.overlap = 1;
    double const hidden = model_of({.tensor = 8}, 8, 1, machine, stack).busiest.tensor;
    EXPECT_LT(hidden, 0.75 * shown);
    EXPECT_GT(hidden, 0);
}

TEST(Roofline, LaunchesWaitForAHostThatIsSlow) {
    auto const machine = simple_machine(8, 1);
    auto stack = plain_stack();
    stack.constants.host_kernel = 0;
    double const gaps = model_of({}, 1, 1, machine, stack).busiest.launches;
    stack.constants.host_kernel = 1e-2;
    EXPECT_GT(model_of({}, 1, 1, machine, stack).busiest.launches, 10 * gaps);
}

} // namespace
} // namespace trireme::test
