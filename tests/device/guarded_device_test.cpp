// Whole runs of the trainer with a model in memory that the host cannot touch: what training does
// with a GPU's tensors beside its collectives. Nothing reads their memory, no operation mixes them
// with the host's, and the passes of a step are queued without reading anything back.
#include "tests/device/guarded_device.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <filesystem>

#include "cluster/error.hpp"
#include "cluster/thread_communicator.hpp"
#include "framework/config/config.hpp"
#include "framework/optimizer/adamw.hpp"
#include "framework/optimizer/gradient_norm.hpp"
#include "framework/step/results.hpp"
#include "framework/train/replica_check.hpp"
#include "framework/train/trainer.hpp"
#include "parallel/tensor_buffer.hpp"
#include "tests/device/pinned_copies.hpp"
#include "tests/framework/pretrained/golden_model.hpp"
#include "tests/parity/tiny_llama.hpp"
#include "tests/support/composed_path.hpp"
#include "tests/support/tiny_run.hpp"

namespace trireme::test {
namespace {

using framework::config::Config;

class GuardedDevice : public testing::Test {
  protected:
    GuardedDevice() {
        install_guarded_device();
        std::filesystem::remove_all(folder_);
        std::filesystem::create_directories(folder_);
        config_ = framework::config::read_config(
            write_tiny_run(folder_), {"train.steps=8", "evaluation.every=4", "checkpoint.every=4"});
        config_.guard.compare_replicas = 3;
    }
    ~GuardedDevice() override { std::filesystem::remove_all(folder_); }

    framework::train::Outcome train(std::string const& name, at::Device device) {
        config_.run = folder_ + "/" + name;
        auto const world = cluster::make_thread_world(1, {});
        return framework::train::Trainer(config_, *world[0], {}, device).run();
    }

    std::string folder_ = testing::TempDir() + "guarded-" + std::to_string(getpid());
    framework::config::Config config_;
};

/// Operands that are copied to where they are computed with lie otherwise in memory, so sums have
/// another order.
TEST_F(GuardedDevice, ARunEndsAsOneOnTheCpu) {
    struct Case {
        int zero;
        framework::parallelize::Compute compute;
        double bound;
    };
    for (auto const& [zero, compute, bound] :
         {Case{0, framework::parallelize::Compute::fp64, 1e-11},
          Case{3, framework::parallelize::Compute::fp64, 1e-11},
          Case{3, framework::parallelize::Compute::bf16, 1e-2}}) {
        SCOPED_TRACE(bound);
        config_.parallel.zero = zero;
        config_.numerics.compute = compute;
        std::string const run = "run-" + std::to_string(zero) + "-" + std::to_string(bound);
        double const guarded = train(run, kGuarded).validation->value("loss");
        ComposedPath const path;
        EXPECT_NEAR(guarded, train(run + "-cpu", at::kCPU).validation->value("loss"), bound);
    }
}

TEST_F(GuardedDevice, ARunGoesOnFromItsCheckpointThereAndOnTheCpu) {
    config_.numerics.compute = framework::parallelize::Compute::fp64;
    auto const whole = train("run", kGuarded);
    std::filesystem::copy(folder_ + "/run", folder_ + "/cpu",
                          std::filesystem::copy_options::recursive);
    for (auto const& run : {"run", "cpu"}) // from step 4
        ASSERT_GT(std::filesystem::remove_all(folder_ + "/" + run + "/checkpoints/step-000000008"),
                  0U);
    EXPECT_EQ(train("run", kGuarded).weights_sha256, whole.weights_sha256);
    ComposedPath const path;
    EXPECT_NEAR(train("cpu", at::kCPU).validation->value("loss"), whole.validation->value("loss"),
                1e-11);
}

struct Found {
    double loss, norm;
};

/// One forward and backward pass of a golden model over all its samples.
Found compute(char const* name, at::ScalarType dtype, at::Device device) {
    GoldenModel m(name, {.compute = dtype, .device = device});
    auto const world = cluster::make_thread_world(1, {});
    framework::model::TransformerStage stage(m.model, m.store);
    parallel::Mesh const mesh(*world[0], {});
    parallel::GradientReducer reducer(m.store, mesh);
    parallel::WeightGatherer gatherer(m.store, mesh);
    double trained = 0;
    for (auto const& ids : m.ids())
        trained += m.labels().empty() ? static_cast<double>(ids.size()) - 1 : 1;
    std::vector<framework::model::Pass> passes;
    passes.push_back(
        framework::model::make_pass(pack(m.ids(), m.labels()), true, 0, 0, 1 / trained, device));
    stage.load(std::move(passes));
    double const loss =
        parallel::Engine({&stage}, reducer, gatherer, mesh).forward_backward(1).at(0);
    EXPECT_EQ(stage.results().samples.size(), m.ids().size());
    EXPECT_NEAR(loss, m.expected["loss"].get<double>(), dtype == at::kDouble ? 1e-5 : 5e-2);
    return {loss, framework::optimizer::gradient_norm(m.store, mesh)};
}

TEST_F(GuardedDevice, EveryFamilyComputesWhatTransformersDoes) {
    for (auto const* name : kGoldenModels) {
        SCOPED_TRACE(name);
        auto const there = compute(name, at::kDouble, kGuarded),
                   here = compute(name, at::kDouble, at::kCPU);
        EXPECT_NEAR(there.norm, here.norm, 1e-10 * here.norm);
    }
}

/// Flash attention is asked for the attention of every family whose heads it takes: grouped,
/// windowed, BERT's.
TEST_F(GuardedDevice, FlashAttentionIsAskedForTheSame) {
    std::size_t models = 0;
    for (auto const* name : kGoldenModels) {
        SCOPED_TRACE(name);
        auto const before = guarded_counts().flash;
        auto const there = compute(name, at::kBFloat16, kGuarded);
        models += guarded_counts().flash > before;
        auto const here = compute(name, at::kBFloat16, at::kCPU);
        EXPECT_NEAR(there.loss, here.loss, 1e-2 * here.loss);
        EXPECT_NEAR(there.norm, here.norm, 3e-2 * here.norm);
    }
    EXPECT_GE(models, 5U);
    std::vector<double> losses;
    using framework::parallelize::Recompute;
    for (auto const recompute : {Recompute::none, Recompute::selective, Recompute::full}) {
        auto const curve =
            train_as_threads(1, {.mode = framework::parallelize::NumericsMode::bitwise,
                                 .compute = framework::parallelize::Compute::bf16,
                                 .steps = 2,
                                 .dropout = 0,
                                 .parallel = {.recompute = recompute},
                                 .layers = 2,
                                 .device = kGuarded});
        losses.push_back(curve.losses.back());
        EXPECT_EQ(losses.back(), losses.front()) << name_of(recompute);
    }
}

/// A step from its first operation to its update, with dropout, and with flash attention and ZeRO
/// 3's gathers.
TEST_F(GuardedDevice, AStepIsQueuedWithoutReadingBack) {
    auto const world = cluster::make_thread_world(1, {});
    data::BatchShape const shape{7, 30, 1};
    for (bool const flash : {false, true}) {
        auto const model = tiny_llama(true, flash ? 0 : 0.1, 2);
        MemoryDataset const set(40, model.vocabulary);
        framework::parallelize::ParallelSection const section{.zero = flash ? 3 : 0};
        framework::parallelize::NumericsSection const numerics{
            .mode = framework::parallelize::NumericsMode::fast,
            .compute = flash ? framework::parallelize::Compute::bf16
                             : framework::parallelize::Compute::fp32};
        parallel::Mesh const mesh(*world[0], framework::parallelize::mesh_shape(section, 1));
        framework::parallelize::ParallelModel parallel(model, mesh, section, numerics, true,
                                                       kGuarded);
        for (auto const& p : parallel.store().parameters()) parallel.store().initialize(*p, 5);
        parallel.refresh();
        framework::optimizer::AdamW optimizer(parallel.store(), {});
        framework::optimizer::GradientNorm const gradient_norm(parallel.store(), mesh);
        framework::step::StepResults results(kGuarded, shape.samples, std::chrono::seconds(60));
        framework::step::BatchSource batches(set, shape, mesh, 5, kGuarded,
                                             std::chrono::seconds(60));
        auto batch = batches.take({});
        parallel.load(std::move(batch.passes));
        auto const before = guarded_counts();
        auto const micro_batches = static_cast<std::int64_t>(batch.plan.micro_batches.size());
        parallel.engine().queue(micro_batches);
        at::Tensor const norm = gradient_norm.compute();
        at::Tensor const losses =
            framework::step::gather_losses(parallel.engine().losses(), micro_batches, mesh);
        at::Tensor const loss = framework::optimizer::ordered_sum(losses);
        optimizer.step(1e-3, framework::step::update_scale(loss, norm, 1, 100), 0);
        parallel.refresh();
        results.send(loss, norm, losses);
        auto const queued = guarded_counts();
        EXPECT_GT(queued.operations, before.operations + 100);
        EXPECT_EQ(queued.read_backs, before.read_backs);
        EXPECT_EQ(queued.flash > before.flash, flash);
        auto const found = results.read();
        EXPECT_EQ(guarded_counts().read_backs, queued.read_backs + 1) << "all numbers in one copy";
        EXPECT_EQ(framework::train::find_odd_replica(parallel), "");
        EXPECT_EQ(guarded_counts().read_backs, queued.read_backs + 1)
            << "one rank has nothing to compare";
        EXPECT_EQ(found.losses.size(), batch.plan.micro_batches.size());
        EXPECT_GT(found.gradient_norm, 0);
    }
}

/// Tensor and pipeline parallelism and sharding compute the same, on ranks that are threads.
TEST_F(GuardedDevice, LayoutsComputeWhatTheyDoOnTheCpu) {
    install_guarded_device(true);
    struct Layout {
        int ranks;
        framework::parallelize::ParallelSection parallel;
        framework::parallelize::NumericsMode mode;
    };
    auto const fast = framework::parallelize::NumericsMode::fast,
               bitwise = framework::parallelize::NumericsMode::bitwise;
    for (auto const& [ranks, parallel, mode] :
         {Layout{2, {.tensor = 2}, fast},
          Layout{2, {.pipeline = 2, .schedule = parallel::ScheduleKind::zero_bubble}, fast},
          Layout{
              4,
              {.tensor = 2, .zero = 3, .recompute = framework::parallelize::Recompute::selective},
              fast},
          Layout{2, {.zero = 2}, bitwise},
          Layout{2, {.zero = 1, .recompute = framework::parallelize::Recompute::full}, fast},
          Layout{1, {.offload = framework::parallelize::Offload::optimizer}, fast},
          Layout{2, {.zero = 3, .offload = framework::parallelize::Offload::optimizer}, fast}}) {
        SCOPED_TRACE(describe(ranks, parallel));
        RunOptions options{.mode = mode,
                           .compute = framework::parallelize::Compute::fp64,
                           .steps = 2,
                           .tied = true,
                           .parallel = parallel,
                           .layers = 2,
                           .device = kGuarded};
        auto const guarded = train_as_threads(ranks, options);
        options.device = at::kCPU;
        auto const plain = train_as_threads(ranks, options);
        for (std::size_t i = 0; i < plain.losses.size(); ++i) {
            EXPECT_NEAR(guarded.losses[i], plain.losses[i], 1e-11);
            EXPECT_NEAR(guarded.norms[i], plain.norms[i], 1e-10);
        }
    }
    install_guarded_device();
}

/// An offloaded update is still on its way to pinned memory when the weights are read there: what
/// is gathered, and what a tied copy on another stage gets, is what the device reads in order.
TEST_F(GuardedDevice, OffloadedWeightsAreReadInTheOrderOfTheDevice) {
    install_guarded_device(true);
    struct Layout {
        int ranks;
        framework::parallelize::ParallelSection parallel;
    };
    for (auto const& [ranks, parallel] :
         {Layout{1, {.zero = 3}}, Layout{2, {.zero = 2}}, Layout{2, {.pipeline = 2, .zero = 3}}}) {
        SCOPED_TRACE(describe(ranks, parallel));
        RunOptions options{.compute = framework::parallelize::Compute::bf16,
                           .steps = 2,
                           .batch = {3, 30, 1},
                           .tied = true,
                           .dropout = 0,
                           .parallel = parallel,
                           .layers = 2,
                           .device = kGuarded};
        auto const beside = train_as_threads(ranks, options);
        options.parallel.offload = framework::parallelize::Offload::optimizer;
        auto const before = pinned::copies_queued();
        auto const offloaded = train_as_threads(ranks, options);
        EXPECT_GT(pinned::copies_queued(), before);
        EXPECT_EQ(offloaded.weights_sha256, beside.weights_sha256);
        EXPECT_EQ(offloaded.losses, beside.losses);
    }
    install_guarded_device();
}

/// The control: what the tests above would notice.
TEST_F(GuardedDevice, HostAccessAndMixedOperandsAreNoticed) {
    at::Tensor const there = at::zeros({4}, at::TensorOptions().device(kGuarded)),
                     here = at::ones({4});
    EXPECT_DEATH(std::printf("%f", static_cast<double>(there.const_data_ptr<float>()[0])), "");
    EXPECT_ANY_THROW(there + here);
    EXPECT_THROW(there.index_select(0, at::tensor({1}, at::kLong)), cluster::JobError);
    auto const before = guarded_counts().read_backs;
    EXPECT_EQ((there + here.to(kGuarded)).sum().item<float>(), 4);
    EXPECT_EQ(guarded_counts().read_backs, before + 1);
    at::Tensor const pinned = at::zeros({4}, at::TensorOptions().pinned_memory(true));
    pinned.copy_(there + 1, true);
    EXPECT_DEATH(std::printf("%f", static_cast<double>(pinned.const_data_ptr<float>()[0])), "");
    EXPECT_THROW(there.to(at::kBFloat16).copy_(pinned), cluster::JobError);
    EXPECT_THROW(parallel::buffer_of(pinned), cluster::JobError);
    EXPECT_EQ(guarded_counts().read_backs, before + 1);
    EXPECT_EQ(there.copy_(pinned, true).sum().item<float>(), 4);
    EXPECT_EQ(pinned.sum().item<float>(), 4);
}

} // namespace
} // namespace trireme::test
