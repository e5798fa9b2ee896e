// The model of a step on GPUs prices every product and every score that the papers count, and waits
// as schedules and links do.
#include <gtest/gtest.h>

#include <algorithm>

#include "cluster/error.hpp"
#include "framework/planning/collective_cost.hpp"
#include "framework/planning/kernels.hpp"
#include "framework/planning/roofline.hpp"
#include "framework/planning/step_cost.hpp"
#include "tests/framework/planning/step_model_support.hpp"
#include "tests/parity/known_models.hpp"

namespace trireme::test {
namespace {

using namespace framework;

planning::Stack plain_stack() {
    planning::Stack stack;
    stack.constants.attention = 0.5;
    return stack;
}

struct Asked {
    parallelize::ParallelSection section{};
    int ranks = 1;
    std::int64_t samples = 1, tokens = 4096, layers = 4;
    planning::Stack stack = plain_stack();
    std::vector<std::int64_t> windows{}; ///< of layers, in turn
    bool causal = true;
    bool base = false;
    parallelize::Compute compute = parallelize::Compute::bf16;
};

model::Config config_of(Asked const& asked) {
    model::Config c = llama_3_8b();
    c.layers = asked.layers;
    for (std::int64_t i = 0; !asked.windows.empty() && i < c.layers; ++i)
        c.windows.push_back(asked.windows[static_cast<std::size_t>(i % std::ssize(asked.windows))]);
    c.causal = asked.causal;
    return c;
}

planning::StepRoofline model_of(Asked const& asked) {
    auto const machine = simple_machine(8, 1);
    model::Config const c = config_of(asked);
    parallelize::NumericsSection const numerics{.compute = asked.compute};
    return planning::step_roofline({.model = c,
                                    .section = asked.section,
                                    .numerics = numerics,
                                    .batch = {asked.samples, asked.tokens, asked.tokens},
                                    .ranks = asked.ranks,
                                    .machine = machine,
                                    .stack = asked.stack,
                                    .base = asked.base});
}

/// What one layer adds to a step, of `layers` in the middle.
planning::RooflineSeconds of_a_layer(Asked asked) {
    asked.layers = 4;
    auto four = model_of(asked).busiest;
    asked.layers = 2;
    four.add(model_of(asked).busiest, -1);
    return planning::RooflineSeconds{}.add(four, 0.5);
}

/// A product of [rows, in] by [in, out], as many times as `batch`.
double product(double rows, double out, double in, double batch = 1) {
    return planning::matrix_seconds(simple_machine(8, 1).gpu, rows, out, in, batch);
}

/// Products of [T, in] by [in, out], their gradients, and the head's; a causal layer has half of
/// its scores, and its backward pass 2.5 / 0.85 of the forward pass's time.
TEST(Roofline, ProductsAndAttentionAreThoseOfTheModel) {
    double const t = 4096;
    auto const with_gradients = [&](double in, double out) {
        return product(t, out, in) + product(t, in, out) + product(out, in, t);
    };
    auto const found = model_of({});
    // Queries, keys and values are one product, and so are gate and up.
    double const layer = with_gradients(4096, 4096) + with_gradients(4096, 4096 + 2 * 1024) +
                         with_gradients(4096, 2 * 14336) + with_gradients(14336, 4096);
    EXPECT_NEAR(found.busiest.products, 4 * layer + with_gradients(4096, 128256), 1e-3 * layer);
    double const forward = 4 * 4096 * t * t / 2 / (0.5 * simple_machine(8, 1).gpu.matrix_flops);
    EXPECT_NEAR(found.busiest.attention, 4 * forward * (1 + 2.5 / 0.85), 1e-9);
    EXPECT_EQ(found.busiest.tensor + found.busiest.data, 0);
    EXPECT_NEAR(found.waits, 0, 1e-12);
}

/// Eight tensor ranks cut 8,192 tokens in two chunks of 512 rows of each rank's, which are products
/// in batches of 8: all but the gradients of weights and of the first layers' inputs.
TEST(Roofline, ProductsOfChunksOfRowsCount) {
    double const t = 8192, rows = 512, d = 4096, inner = 14336.0 / 8, qkv = (4096 + 2 * 1024) / 8.0;
    auto const first = [&](double out) {
        return 2 * product(rows, out, d, 8) + product(t, d, out) + product(out, d, t);
    };
    auto const second = [&](double in) {
        return 2 * product(rows, d, in, 8) + 2 * product(rows, in, d, 8) + product(d, in, t);
    };
    double const found =
        of_a_layer({.section = {.tensor = 8}, .ranks = 8, .tokens = 8192}).products;
    double const wanted = first(qkv) + second(d / 8) + first(2 * inner) + second(inner);
    EXPECT_NEAR(found, wanted, 1e-9 * wanted);
}

/// Keys that each query sees, counted one by one, of a model whose layers have a window of 128
/// tokens to each side or none, in turn.
TEST(Roofline, AWindowLeavesOutTheScoresThatItHides) {
    for (bool const causal : {true, false}) {
        double scores = 0;
        for (std::int64_t i = 0; i < 8192; ++i) {
            std::int64_t const last = causal ? i : 8191;
            scores += static_cast<double>(std::min(last, i + 127) -
                                          std::max<std::int64_t>(0, i - 127) + 1);
        }
        scores += 8192.0 * 8192 / (causal ? 2 : 1);
        auto const found = of_a_layer({.tokens = 8192, .windows = {128, 0}, .causal = causal});
        double const forward =
            4 * scores / 2 * 4096 / (0.5 * simple_machine(8, 1).gpu.matrix_flops);
        double const wanted = forward * (1 + 2.5 / 0.85);
        EXPECT_NEAR(found.attention, wanted, 1e-9 * wanted) << causal;
    }
}

/// The launches of a step of 8 micro-steps, counted by running all of them.
TEST(Roofline, MicroStepsInTheMiddleStandForTheOthers) {
    Asked asked{.samples = 8};
    asked.stack.constants.host_kernel = 0; // each launch is a gap of 3 microseconds then
    std::int64_t launches = 0;
    auto const step = planning::even_step(
        config_of(asked), {}, {.compute = parallelize::Compute::bf16}, {8, 4096, 4096}, 1);
    for (auto const& place : planning::step_cost(config_of(asked), step, 0, true))
        launches += place.cost.launches;
    auto const found = model_of(asked);
    EXPECT_NEAR(found.busiest.launches, 3e-6 * static_cast<double>(launches), 1e-9);
    // Seven samples on two data ranks are four micro-steps of the first, as eight are.
    EXPECT_NEAR(model_of({.ranks = 2, .samples = 7}).step(),
                model_of({.ranks = 2, .samples = 8}).step(), 1e-9);
}

TEST(Roofline, ABaseModelTakesItsForwardPasses) {
    double const alone = model_of({}).busiest.products,
                 with_base = model_of({.base = true}).busiest.products;
    EXPECT_GT(with_base, 1.25 * alone);
    EXPECT_LT(with_base, 1.40 * alone); // a third, and the gradient of no weight
}

TEST(Roofline, RefusesWhatAMachinesFileHasNoRateFor) {
    for (auto const compute : {parallelize::Compute::fp32, parallelize::Compute::fp64})
        EXPECT_THROW(model_of({.compute = compute}), cluster::InputError);
}

/// Stages wait for (p - 1) / m of their work where all parts take the same time: here the last has
/// the head, so that the others wait for it too, and it waits for the first activation alone.
TEST(Roofline, TheBusiestStageWaitsForTheFirstActivationAndTheLastGradient) {
    auto const found = model_of({.section = {.pipeline = 4}, .ranks = 4, .samples = 16});
    EXPECT_GT(found.waits, 0);
    EXPECT_LT(found.waits, 3.0 / 16 * found.busiest.sum());
    auto const more = model_of({.section = {.pipeline = 4}, .ranks = 4, .samples = 32});
    EXPECT_NEAR(more.waits, found.waits, 1e-3 * found.waits);
}

/// Without overlap a call costs all of its time: forward, rows of two chunks are gathered and added
/// for attention and for feed-forward, and backward as many, of which those of the first layers
/// come whole.
TEST(Roofline, WhatTravelsIsHiddenAsMuchAsTheStackSays) {
    Asked asked{.section = {.tensor = 8}, .ranks = 8, .tokens = 8192};
    auto const machine = simple_machine(8, 1);
    double const all = 2.0 * 4096 * 8192;
    asked.stack.constants.overlap = 0;
    double const shown = of_a_layer(asked).tensor, norms = 8 * 2.0 * 4096 * 4,
                 wanted = 12 * planning::all_gather_seconds({8, 1}, machine, all / 2) +
                          4 * planning::all_gather_seconds({8, 1}, machine, all) +
                          planning::all_gather_seconds({8, 1}, machine, 2 * norms) -
                          planning::all_gather_seconds({8, 1}, machine, norms);
    EXPECT_NEAR(shown, wanted, 1e-9 * wanted);
    asked.stack.constants.overlap = 1;
    double const hidden = of_a_layer(asked).tensor;
    EXPECT_LT(hidden, 0.75 * shown);
    EXPECT_GT(hidden, 0);
}

TEST(Roofline, LaunchesWaitForAHostThatIsSlow) {
    Asked asked;
    asked.stack.constants.host_kernel = 0;
    double const gaps = model_of(asked).busiest.launches;
    asked.stack.constants.host_kernel = 1e-2;
    EXPECT_GT(model_of(asked).busiest.launches, 10 * gaps);
}

} // namespace
} // namespace trireme::test
