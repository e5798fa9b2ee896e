// Whole training steps over the NCCL back end, on the stand-in: the code of a step as it is, its collectives on device
// memory and streams, the operations of a GPU computed by the host in the stream's place. What that shows and what not:
// docs/gpu.md.
#include <gmock/gmock.h>

#include <algorithm>

#include "framework/batch_source.hpp"
#include "framework/optimizer/gradient_norm.hpp"
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
          optimizer_(model_.store(), {.weight_decay = 0.1}, false),
          batches_(set_, shape_, mesh_, kSeed, at::kCPU, kDeadline) {
        for (auto const& p : model_.store().parameters()) model_.store().initialize(*p, kSeed);
        model_.refresh();
    }

    void read_ahead(int step) { batches_.read_ahead({step, step * shape_.samples}); }

    /// As Trainer::train_step.
    void step(int step) {
        auto batch = batches_.take({step, step * shape_.samples});
        model_.load(std::move(batch.passes));
        model_.engine().queue(static_cast<std::int64_t>(batch.plan.slots.size()));
        batches_.done();
        if (step + 1 < kSteps) read_ahead(step + 1);
        model_.engine().losses();
        double const norm = framework::gradient_norm(model_.store(), mesh_);
        optimizer_.step(options_.learning_rate, norm > 1 ? 1 / norm : 1.0, step);
        model_.refresh();
    }

    std::string hash() { return framework::weights_sha256(model_.specs(), model_.store(), mesh_); }

  private:
    RunOptions options_;
    framework::ModelConfig config_;
    MemoryDataset set_;
    parallel::Mesh mesh_;
    data::BatchShape shape_;
    framework::ParallelModel model_;
    framework::AdamW optimizer_;
    framework::BatchSource batches_;
};

/// Trains, and expects the weights of `wanted`. From the loader to the last update the host sees no event.
Body training(RunOptions options, std::string const& wanted) {
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
        EXPECT_EQ(run.hash(), wanted);
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
    std::string const wanted = train_as_threads(1, small({})).weights_sha256;
    for (auto const& [ranks, parallel] :
         {Layout{1, {}}, Layout{2, {.zero = 0}}, Layout{2, {.zero = 1}}, Layout{2, {.zero = 2}}, Layout{2, {.zero = 3}},
          Layout{4, {.shard = 2, .zero = 3, .recompute = "full"}}, Layout{2, {.pipeline = 2, .schedule = "1f1b"}},
          Layout{4, {.pipeline = 2, .zero = 3, .schedule = "zero-bubble"}}}) {
        SCOPED_TRACE(describe(ranks, parallel));
        Outcome const outcome = run_on_standin(ranks, {.lazy = true}, training(small(parallel), wanted));
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
        std::string const wanted = train_as_threads(ranks, options).weights_sha256;
        Outcome const outcome = run_on_standin(ranks, {.lazy = true}, training(options, wanted));
        EXPECT_THAT(outcome.violations, testing::IsEmpty());
    }
}

/// The control: without one wait for gathered weights the tests above fail.
TEST(DeviceStep, AMissingWaitIsNoticed) {
    ComposedPath const path;
    RunOptions const options = small({.zero = 3});
    Body const body = training(options, train_as_threads(1, options).weights_sha256);
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
