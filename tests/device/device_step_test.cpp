// Whole training steps over the NCCL back end, on the stand-in: the code of a step as it is, its collectives on device
// memory and streams, the operations of a GPU computed by the host in the stream's place. What that shows and what not:
// docs/gpu.md.
#include <gmock/gmock.h>

#include <algorithm>
#include <limits>

#include "framework/batch_source.hpp"
#include "framework/optimizer/gradient_norm.hpp"
#include "framework/step_results.hpp"
#include "framework/weights_hash.hpp"
#include "tests/cluster/nccl_on_standin.hpp"
#include "tests/device/tensors_on_standin.hpp"
#include "tests/parity/tiny_llama.hpp"
#include "tests/support/composed_path.hpp"

namespace trireme::test {
namespace {

using cluster::Communicator;
using framework::ParallelSection;

constexpr int kSteps = 2;
constexpr std::uint64_t kSeed = 5;
constexpr auto kDeadline = std::chrono::seconds(60);

/// tests/parity/tiny_llama.hpp, its batches copied ahead, its operations those of a GPU.
class DeviceRun {
  public:
    DeviceRun(Communicator& world, RunOptions const& options)
        : options_(options), config_(tiny_llama(options.tied, options.dropout, options.layers)),
          set_(40, config_.vocabulary), mesh_(world, framework::mesh_shape(options.parallel, world.size())),
          shape_{options.batch.samples, options.batch.tokens_per_slot, mesh_.along(parallel::Axis::tensor).size()},
          model_(config_, mesh_, options.parallel, {.mode = options.mode, .compute = options.compute}),
          optimizer_(model_.store(), {.weight_decay = 0.1}, false), gradient_norm_(model_.store(), mesh_),
          batches_(set_, shape_, mesh_, kSeed, at::kCPU, kDeadline), results_(at::kCPU, shape_.samples, kDeadline) {
        for (auto const& p : model_.store().parameters()) model_.store().initialize(*p, kSeed);
        model_.refresh();
    }

    void read_ahead(int step) { batches_.read_ahead({step, step * shape_.samples}); }

    /// As Trainer::train_step.
    void step(int step) {
        auto batch = batches_.take({step, step * shape_.samples});
        auto const slots = static_cast<std::int64_t>(batch.plan.slots.size());
        model_.load(std::move(batch.passes));
        model_.engine().queue(slots);
        batches_.done();
        if (step + 1 < kSteps) read_ahead(step + 1);
        at::Tensor const losses = framework::gather_losses(model_.engine().losses(), slots, mesh_);
        at::Tensor const loss = framework::ordered_sum(losses), norm = gradient_norm_.compute();
        if (step > 0) read_results();
        at::Tensor const scale = framework::update_scale(loss, norm, 1, std::numeric_limits<double>::infinity());
        optimizer_.step(options_.learning_rate, scale, step);
        model_.refresh();
        results_.send(loss, norm, losses);
    }
    void read_results() { losses_.push_back(results_.read().loss); }
    std::vector<double> const& losses() const { return losses_; } ///< of the steps that were read

    std::string hash() { return framework::weights_sha256(model_.specs(), model_.store(), mesh_); }

  private:
    RunOptions options_;
    framework::ModelConfig config_;
    MemoryDataset set_;
    parallel::Mesh mesh_;
    data::BatchShape shape_;
    framework::ParallelModel model_;
    framework::AdamW optimizer_;
    framework::GradientNorm gradient_norm_;
    framework::BatchSource batches_;
    framework::StepResults results_;
    std::vector<double> losses_;
};

/// Trains, and expects the weights and losses of `wanted`. In a step the host sees nothing of what the step queues.
Body training(RunOptions options, Curve const& wanted) {
    return [options, wanted](Communicator& world) {
        cluster::Stream const compute;
        TensorsOnStandin const tensors(compute.handle());
        DeviceRun run(world, options);
        run.read_ahead(0);
        for (int s = 0; s < kSteps; ++s) {
            auto const before = standin::host_calls().blocking;
            standin::BlindHost const blind;
            run.step(s);
            EXPECT_EQ(standin::host_calls().blocking, before) << "a step stops the host";
        }
        run.read_results();
        for (std::size_t s = 0; s < run.losses().size(); ++s)
            EXPECT_NEAR(run.losses()[s], wanted.losses[s], 1e-6 * wanted.losses[s]);
        EXPECT_EQ(run.hash(), wanted.weights_sha256);
    };
}

RunOptions small(ParallelSection const& parallel) {
    return {.steps = kSteps, .batch = {5, 30, 1}, .parallel = parallel, .layers = 2};
}

struct Layout {
    int ranks;
    ParallelSection parallel;
};

TEST(DeviceStep, EveryLayoutEndsWithTheWeightsOfOneProcess) {
    ComposedPath const path;
    Curve const wanted = train_as_threads(1, small({}));
    for (auto const& [ranks, parallel] :
         {Layout{1, {}}, Layout{2, {.zero = 0}}, Layout{2, {.zero = 1}}, Layout{2, {.zero = 2}}, Layout{2, {.zero = 3}},
          Layout{4, {.shard = 2, .zero = 3, .recompute = "full"}}, Layout{2, {.pipeline = 2, .schedule = "1f1b"}},
          Layout{4, {.pipeline = 2, .zero = 3, .schedule = "zero-bubble"}}}) {
        SCOPED_TRACE(describe(ranks, parallel));
        StandinOutcome const outcome = run_on_standin(ranks, {.lazy = true}, training(small(parallel), wanted));
        EXPECT_THAT(outcome.violations, testing::IsEmpty());
    }
}

TEST(DeviceStep, FastModeAndTensorParallelismEndWithTheWeightsOfThreads) {
    ComposedPath const path;
    for (auto const& [ranks, parallel] : {Layout{2, {.zero = 0}}, Layout{2, {.zero = 2}}, Layout{2, {.tensor = 2}},
                                          Layout{4, {.tensor = 2, .zero = 3, .recompute = "selective"}}}) {
        SCOPED_TRACE(describe(ranks, parallel));
        RunOptions options = small(parallel);
        options.mode = framework::NumericsMode::fast;
        Curve const wanted = train_as_threads(ranks, options);
        StandinOutcome const outcome = run_on_standin(ranks, {.lazy = true}, training(options, wanted));
        EXPECT_THAT(outcome.violations, testing::IsEmpty());
    }
}

/// The control: without one wait for gathered weights the tests above fail.
TEST(DeviceStep, AMissingWaitIsNoticed) {
    ComposedPath const path;
    RunOptions const options = small({.zero = 3});
    Body const body = training(options, train_as_threads(1, options));
    auto const orderings = run_on_standin(2, {.lazy = true}, body).orderings;
    auto const is_wait = [](std::string const& what) { return what == standin::kComputingWait; };
    auto const tokens = std::ranges::find_if(orderings, is_wait); // the first wait of a step
    auto const weights = std::find_if(tokens + 1, orderings.end(), is_wait);
    ASSERT_NE(weights, orderings.end());
    auto const number = static_cast<std::size_t>(weights - orderings.begin());
    EXPECT_NE(notice_of(2, {.lazy = true, .drop = number}, body), Notice::none);
}

} // namespace
} // namespace trireme::test
