// Whole training steps over the NCCL back end, on the stand-in: the code of a step as it is, its collectives on device
// memory and streams, its kernels computed by the host in the stream's place. What that shows and what not:
// docs/gpu.md.
#include <gmock/gmock.h>

#include <algorithm>

#include "cluster/copy_ahead.hpp"
#include "framework/optimizer/gradient_norm.hpp"
#include "framework/weights_hash.hpp"
#include "tests/cluster/nccl_on_standin.hpp"
#include "tests/device/tensors_on_standin.hpp"
#include "tests/parity/tiny_llama.hpp"

namespace trireme::test {
namespace {

using cluster::Communicator;
using framework::ParallelSection;

constexpr int kSteps = 2, kDepth = 2;
constexpr std::uint64_t kSeed = 5;
constexpr auto kDeadline = std::chrono::seconds(60);

/// tests/parity/tiny_llama.hpp, its tokens copied ahead.
class DeviceRun {
  public:
    DeviceRun(Communicator& world, RunOptions const& options, void* stream)
        : options_(options), config_(tiny_llama(options.tied, options.dropout, options.layers)),
          set_(40, config_.vocabulary), mesh_(world, framework::mesh_shape(options.parallel, world.size())),
          model_(config_, mesh_, options.parallel, {.mode = options.mode, .compute = options.compute}),
          optimizer_(model_.store(), {.weight_decay = 0.1}, false),
          tokens_(token_bytes(options.batch), kDepth, stream, kDeadline) {
        for (auto const& p : model_.store().parameters()) model_.store().initialize(*p, kSeed);
        model_.refresh();
    }

    /// Fills pinned memory and queues its copy to the device.
    void send_tokens(int step) {
        auto const pinned = tokens_.stage();
        standin::host_access({pinned.data(), pinned.size()}, true);
        auto* at = reinterpret_cast<std::int64_t*>(pinned.data());
        for (auto const& slot : own_slots(step)) at = std::ranges::copy(slot.tokens, at).out;
        tokens_.send();
    }

    void step(int step) {
        auto const plan = plan_of(step);
        auto* at = static_cast<std::int64_t*>(const_cast<void*>(tokens_.take()));
        std::vector<framework::Pass> passes;
        for (auto& slot : own_slots(step)) {
            auto const count = static_cast<std::int64_t>(slot.tokens.size());
            double const scale = 1.0 / static_cast<double>(plan.trained);
            framework::Pass pass{std::move(slot), at::from_blob(at, {count}, at::kLong), true, kSeed, step, scale};
            at += count;
            passes.push_back(std::move(pass));
        }
        model_.load(std::move(passes));
        model_.engine().forward_backward(static_cast<std::int64_t>(plan.slots.size()));
        if (step + kDepth < kSteps) tokens_.done();
        double const norm = framework::gradient_norm(model_.store(), mesh_);
        optimizer_.step(options_.learning_rate, norm > 1 ? 1 / norm : 1.0, step);
        model_.refresh();
    }

    std::string hash() { return framework::weights_sha256(model_.specs(), model_.store(), mesh_); }

  private:
    static std::size_t token_bytes(data::BatchShape const& batch) {
        return static_cast<std::size_t>(batch.samples * 20) * sizeof(std::int64_t); // samples are shorter than that
    }
    data::StepPlan plan_of(int step) const {
        return data::plan_step(set_, options_.batch, kSeed, step * options_.batch.samples);
    }
    std::vector<data::Slot> own_slots(int step) const {
        std::vector<data::Slot> slots;
        auto const plan = plan_of(step);
        auto const ranks = static_cast<std::size_t>(mesh_.data().size());
        for (auto s = static_cast<std::size_t>(mesh_.data().rank()); s < plan.slots.size(); s += ranks)
            slots.push_back(set_.read(plan.slots[s], mesh_.along(parallel::Axis::tensor).size()));
        return slots;
    }

    RunOptions options_;
    framework::ModelConfig config_;
    MemoryDataset set_;
    parallel::Mesh mesh_;
    framework::ParallelModel model_;
    framework::AdamW optimizer_;
    cluster::CopyAhead tokens_;
};

/// Trains, and expects the weights of `wanted`. From the loader to the last update the host sees no event.
Body training(RunOptions options, std::string const& wanted) {
    return [options, wanted](Communicator& world) {
        cluster::Stream const compute;
        TensorsOnStandin const tensors(compute.handle());
        DeviceRun run(world, options, compute.handle());
        for (int s = 0; s < kDepth - 1; ++s) run.send_tokens(s);
        for (int s = 0; s < kSteps; ++s) {
            if (s + kDepth - 1 < kSteps) run.send_tokens(s + kDepth - 1);
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
