// The engine in float64 against plain autograd on one process, and float32 against float64.
#include <gtest/gtest.h>

#include <cmath>

#include "cluster/fake_communicator.hpp"
#include "cluster/thread_communicator.hpp"
#include "framework/optimizer/adamw.hpp"
#include "framework/optimizer/gradient_norm.hpp"
#include "framework/parallel_model.hpp"
#include "tests/parity/plain_llama.hpp"
#include "tests/parity/tiny_llama.hpp"

namespace trireme::test {
namespace {

using namespace framework;

/// ||a - b|| / max(||b||, 1e-6 x global norm) (contract 1 of docs/architecture.md).
double distance(at::Tensor const& a, at::Tensor const& b, double global) {
    return (a - b).norm().item<double>() / std::max(b.norm().item<double>(), 1e-6 * global);
}

class AgainstOracle : public testing::TestWithParam<std::tuple<bool, NumericsMode>> {};

TEST_P(AgainstOracle, LossGradientsAndWeightsAgreeTo1em12) {
    auto const [tied, mode] = GetParam();
    ModelConfig const model = tiny_llama(tied, 0.0);
    MemoryDataset const set(40, model.vocabulary);
    auto const world = cluster::make_thread_world(1, {});
    parallel::Mesh const mesh(*world[0], {});
    ParallelModel parallel(model, mesh, {}, {.mode = mode, .compute = Compute::fp64});
    auto& store = parallel.store();
    for (auto const& p : store.parameters()) store.initialize(*p, 5);
    Weights plain;
    for (auto const& p : store.parameters()) plain[p->spec().name] = p->master().clone().set_requires_grad(true);
    AdamW optimizer(store, {.weight_decay = 0.1});
    PlainAdamW plain_optimizer(0.9, 0.999, 1e-8, 0.1);

    data::BatchShape const batch{7, 30, 1};
    for (std::int64_t step = 0; step < 5; ++step) {
        auto const plan = data::plan_step(set, batch, 5, step * batch.samples);
        ASSERT_GT(plan.slots.size(), 1U) << "accumulation over slots is part of the test";
        std::vector<Pass> passes;
        std::vector<std::vector<std::int64_t>> samples;
        for (auto const& slot : plan.slots) {
            passes.push_back(make_pass(set.read(slot, 1), true, 5, step, 1.0 / static_cast<double>(plan.trained)));
            for (auto const id : slot) samples.push_back(set.ids(id));
        }
        parallel.load(std::move(passes));
        double loss = 0;
        for (double const l : parallel.engine().forward_backward(static_cast<std::int64_t>(plan.slots.size())))
            loss += l;
        double const plain_loss = plain_llama_backward(model, plain, samples);
        EXPECT_NEAR(loss, plain_loss, 1e-12 * plain_loss);
        double const norm = gradient_norm(store, mesh);
        for (auto const& [name, w] : plain)
            EXPECT_LT(distance(store.at(name).gradient(), w.grad(), norm), 1e-12) << name << " step " << step;
        optimizer.step(3e-3, clip_scale(at::scalar_tensor(norm, at::kDouble), 1), step);
        plain_optimizer.step(plain, 3e-3, 1.0);
        for (auto const& [name, w] : plain)
            EXPECT_LT(distance(store.at(name).master(), w.detach(), 0), 1e-12) << name << " step " << step;
    }
}
INSTANTIATE_TEST_SUITE_P(Llama, AgainstOracle,
                         testing::Combine(testing::Bool(), testing::Values(NumericsMode::bitwise, NumericsMode::fast)));

double drift(Curve const& a, Curve const& b) {
    double most = 0;
    for (std::size_t i = 0; i < a.losses.size(); ++i) most = std::max(most, std::abs(a.losses[i] - b.losses[i]));
    return most;
}

TEST(FastMode, FirstLossAgreesAndDriftStaysInBounds) {
    RunOptions options{.mode = NumericsMode::fast, .compute = Compute::fp64, .steps = 50};
    Curve exact, single;
    cluster::run_as_threads(1, [&](auto& world) { exact = train_tiny(world, options); });
    options.compute = Compute::fp32;
    cluster::run_as_threads(1, [&](auto& world) { single = train_tiny(world, options); });
    double const rounding = drift(single, exact);
    ASSERT_GT(rounding, 0.0);
    EXPECT_LT(exact.losses.back(), 0.9 * exact.losses.front()) << "a run that learns nothing shows nothing";
    for (int const ranks : {2, 3, 4}) {
        std::vector<Curve> curves(static_cast<std::size_t>(ranks));
        cluster::run_as_threads(
            ranks, [&](auto& world) { curves[static_cast<std::size_t>(world.rank())] = train_tiny(world, options); });
        EXPECT_NEAR(curves[0].losses[0], single.losses[0], 1e-6) << ranks << " ranks";
        EXPECT_LT(drift(curves[0], exact), 4 * rounding) << ranks << " ranks";
        for (auto const& c : curves) EXPECT_EQ(c.weights_sha256, curves[0].weights_sha256) << "replicas differ";
    }
    RecordProperty("drift_float32_against_float64", std::to_string(rounding));
}

} // namespace
} // namespace trireme::test
