#include "tests/device/device_run.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "framework/optimizer/gradient_norm.hpp"
#include "framework/step/batch_source.hpp"
#include "framework/step/results.hpp"
#include "framework/weights/weights_hash.hpp"
#include "tests/device/tensors_on_standin.hpp"

namespace trireme::test {

namespace {

using cluster::Communicator;

constexpr int kSteps = 3;
constexpr std::uint64_t kSeed = 5;
constexpr auto kDeadline = std::chrono::seconds(60);

/// tests/parity/tiny_llama.hpp, its batches copied ahead, its operations those of a GPU.
class DeviceRun {
  public:
    DeviceRun(Communicator& world, RunOptions const& options)
        : options_(options), config_(tiny_llama(options.tied, options.dropout, options.layers)),
          set_(40, config_.vocabulary),
          mesh_(world, framework::parallelize::mesh_shape(options.parallel, world.size())),
          shape_{options.batch.samples, options.batch.tokens_per_micro_batch,
                 mesh_.along(parallel::Axis::tensor).size()},
          model_(config_, mesh_, options.parallel,
                 {.mode = options.mode, .compute = options.compute}),
          optimizer_(model_.store(), {.weight_decay = 0.1}, false),
          gradient_norm_(model_.store(), mesh_), results_(at::kCPU, shape_.samples, kDeadline),
          batches_(set_, shape_, mesh_, kSeed, at::kCPU, kDeadline) {
        standin::at_place("start");
        for (auto const& p : model_.store().parameters()) model_.store().initialize(*p, kSeed);
        model_.refresh();
    }

    void read_ahead(int step) {
        standin::at_place("batches");
        batches_.read_ahead({step, step * shape_.samples});
    }

    /// Steps as Trainer::train_step does.
    void step(int step) {
        standin::at_place("batches");
        auto batch = batches_.take({step, step * shape_.samples});
        auto const micro_batches = static_cast<std::int64_t>(batch.plan.micro_batches.size());
        model_.load(std::move(batch.passes));
        model_.engine().queue(micro_batches);
        standin::at_place("batches");
        if (step + 2 < kSteps) batches_.done(); // another comes where this one is
        if (step + 1 < kSteps) read_ahead(step + 1);
        at::Tensor const own_losses = model_.engine().losses();
        at::Tensor const norm = gradient_norm_.compute();
        at::Tensor const losses = framework::step::gather_losses(own_losses, micro_batches, mesh_);
        at::Tensor const loss = framework::optimizer::ordered_sum(losses);
        if (step > 0) read_results();
        at::Tensor const scale =
            framework::step::update_scale(loss, norm, 1, std::numeric_limits<double>::infinity());
        optimizer_.step(options_.learning_rate, scale, step);
        model_.refresh();
        standin::at_place("results");
        results_.send(loss, norm, losses);
    }
    void read_results() { losses_.push_back(results_.read().loss); }
    std::vector<double> const& losses() const { return losses_; } ///< of the steps that were read

    std::string hash() {
        return framework::weights::weights_sha256(model_.specs(), model_.store(), mesh_);
    }

  private:
    RunOptions options_;
    framework::model::Config config_;
    MemoryDataset set_;
    parallel::Mesh mesh_;
    data::BatchShape shape_;
    framework::parallelize::ParallelModel model_;
    framework::optimizer::AdamW optimizer_;
    framework::optimizer::GradientNorm gradient_norm_;
    framework::step::StepResults results_;
    framework::step::BatchSource batches_;
    std::vector<double> losses_;
};

/// Tells the stand-in which call of the program comes.
struct Places : cluster::CallObserver {
    void on_start(std::string_view group, cluster::CallRecord const& call) override {
        standin::at_place(fmt::format("{} {} {}", group, name_of(call.op),
                                      call.name.substr(0, call.name.find('/'))));
    }
    void on_finish(std::string_view, std::uint64_t) override {}
};

} // namespace

RunOptions small_run(framework::parallelize::ParallelSection const& parallel,
                     framework::parallelize::NumericsMode mode) {
    return {.mode = mode,
            .steps = kSteps,
            .batch = {5, 30, 1},
            .tied = parallel.pipeline > 1,
            .parallel = parallel,
            .layers = std::max(2, parallel.pipeline * parallel.virtual_stages)};
}

Body training(RunOptions const& options, Curve const& wanted, bool read_last) {
    return [options, wanted, read_last](Communicator& world) {
        world.set_observer(std::make_shared<Places>());
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
        if (read_last) run.read_results();
        for (std::size_t s = 0; s < run.losses().size(); ++s)
            EXPECT_NEAR(run.losses()[s], wanted.losses[s], 1e-6 * wanted.losses[s]);
        EXPECT_EQ(run.hash(), wanted.weights_sha256);
        standin::at_place("end");
    };
}

} // namespace trireme::test
