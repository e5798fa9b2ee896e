// Whole training steps on the stand-in end as they do on ranks that are threads, and the host waits
// for none of them.
#include <gmock/gmock.h>

#include <fmt/format.h>

#include <cmath>
#include <memory>

#include "parallel/budgets.hpp"
#include "parallel/engine.hpp"
#include "tests/device/device_run.hpp"
#include "tests/device/tensors_on_standin.hpp"
#include "tests/support/composed_path.hpp"

namespace trireme::test {
namespace {

using cluster::Communicator;
using framework::parallelize::NumericsMode;

/// of the stand-in with peers that do not come
constexpr auto kPatience = std::chrono::seconds(10);

TEST(DeviceStep, EveryLayoutEndsWithTheWeightsOfOneProcess) {
    ComposedPath const path;
    for (auto const& [ranks, parallel] :
         {Layout{1, {}}, Layout{2, {.zero = 0}}, Layout{2, {.zero = 1}}, Layout{2, {.zero = 2}},
          Layout{2, {.zero = 3}},
          Layout{4, {.shard = 2, .zero = 3, .recompute = framework::parallelize::Recompute::full}},
          Layout{2, {.pipeline = 2, .schedule = parallel::ScheduleKind::one_f_one_b}},
          Layout{4, {.pipeline = 2, .zero = 3, .schedule = parallel::ScheduleKind::zero_bubble}},
          Layout{2,
                 {.pipeline = 2,
                 .schedule = parallel::ScheduleKind::interleaved,
                 .virtual_stages = 2}},
          Layout{3,
                 {.pipeline = 3,
                 .schedule = parallel::ScheduleKind::interleaved,
                 .virtual_stages = 2}},
          Layout{4,
                 {.pipeline = 2,
                 .zero = 3,
                 .schedule = parallel::ScheduleKind::interleaved,
                 .virtual_stages = 2}}}) {
        SCOPED_TRACE(describe(ranks, parallel));
        RunOptions const options = small_run(parallel);
        RunOptions alone = options;
        alone.parallel = {};
        Body const body = training(options, train_as_threads(1, alone));
        StandinOutcome const outcome = run_on_standin(ranks, {.lazy = true}, body);
        EXPECT_THAT(outcome.violations, testing::IsEmpty());
    }
}

/// Trains in fast mode on ranks that are threads, and on the stand-in.
void expect_the_weights_of_threads(Layout const& layout) {
    SCOPED_TRACE(describe(layout.ranks, layout.parallel));
    RunOptions const options = small_run(layout.parallel, NumericsMode::fast);
    Curve const wanted = train_as_threads(layout.ranks, options);
    StandinOutcome const outcome =
        run_on_standin(layout.ranks, {.lazy = true}, training(options, wanted));
    EXPECT_THAT(outcome.violations, testing::IsEmpty());
}

TEST(DeviceStep, FastModeAndTensorParallelismEndWithTheWeightsOfThreads) {
    ComposedPath const path;
    for (auto const& layout :
         {Layout{2, {.zero = 0}}, Layout{2, {.zero = 2}}, Layout{2, {.tensor = 2}},
          Layout{
              4,
              {.tensor = 2, .zero = 3, .recompute = framework::parallelize::Recompute::selective}}})
        expect_the_weights_of_threads(layout);
}

/// Cuts chunks of a few rows, so that gathers and sums are under way while others are computed.
TEST(DeviceStep, ChunksOfDividedLayersEndWithTheWeightsOfThreads) {
    ComposedPath const path;
    cluster::ForNow<std::int64_t> const rows(parallel::budgets.divided_rows, 8);
    for (auto const& layout :
         {Layout{2, {.tensor = 2}},
          Layout{4, {.pipeline = 2, .tensor = 2, .schedule = parallel::ScheduleKind::zero_bubble}}})
        expect_the_weights_of_threads(layout);
}

/// A part of a model without parameters. It doubles what it is given; what the first one is given
/// is the number of the micro-step, from 1.
class Doubling : public parallel::Stage {
  public:
    Doubling(int part, int parts) : part_(part), parts_(parts) {}
    std::size_t block_count() const override { return 1; }
    std::vector<std::size_t> const& units_read_by(std::size_t) const override { return none_; }
    std::vector<std::size_t> const& units_read_back_by(std::size_t) const override { return none_; }
    std::vector<std::size_t> const& units_completed_by(std::size_t) const override { return none_; }
    std::vector<std::int64_t> input_shape(std::int64_t) const override { return {2, 3}; }
    std::vector<std::int64_t> output_shape(std::int64_t) const override { return {2, 3}; }
    at::TensorOptions boundary_options() const override { return at::kDouble; }
    bool may_recompute(std::size_t) const override { return false; }
    at::Tensor forward(std::size_t, at::Tensor const& input, std::int64_t micro_step) override {
        at::Tensor const x = part_ == 0 ? (input + (micro_step + 1)).expand({2, 3}) : input,
                         y = 2 * x;
        if (y.requires_grad())
            y.register_hook([this](at::Tensor const& gradient) {
                backward += at::equal(gradient,
                                      at::full({2, 3}, std::exp2(parts_ - 1 - part_), at::kDouble));
            });
        return part_ + 1 == parts_ ? y.sum() : y;
    }
    std::int64_t backward = 0; ///< passes with the gradient that the parts after this one make

  private:
    int part_, parts_;
    std::vector<std::size_t> none_;
};

struct Pipeline {
    parallel::ScheduleKind schedule;
    int stages, chunks;
    std::int64_t micro_steps;

    std::string text() const {
        return fmt::format("{}, {} stages, {} chunks, {} micro-steps", name_of(schedule), stages,
                           chunks, micro_steps);
    }
};

Body doubling(Pipeline const& p) {
    return [p](Communicator& world) {
        cluster::Stream const compute;
        TensorsOnStandin const tensors(compute.handle());
        parallel::MeshShape shape;
        shape[parallel::Axis::pipeline] = p.stages;
        parallel::Mesh const mesh(world, shape);
        parallel::ParameterStore store({}, {});
        parallel::GradientReducer reducer(store, mesh);
        parallel::WeightGatherer gatherer(store, mesh);
        int const parts = p.stages * p.chunks;
        std::vector<std::unique_ptr<Doubling>> own;
        std::vector<parallel::Stage*> chunks;
        for (int c = 0; c < p.chunks; ++c) {
            own.push_back(std::make_unique<Doubling>(c * p.stages + world.rank(), parts));
            chunks.push_back(own.back().get());
        }
        parallel::Engine engine(chunks, reducer, gatherer, mesh, {.schedule = p.schedule});
        std::vector<double> wanted;
        for (std::int64_t m = 1; m <= p.micro_steps; ++m)
            wanted.push_back(6 * std::exp2(parts) * static_cast<double>(m));
        EXPECT_EQ(engine.forward_backward(p.micro_steps), wanted);
        for (auto const& part : own) EXPECT_EQ(part->backward, p.micro_steps);
        EXPECT_EQ(engine.forward(p.micro_steps), wanted);
    };
}

/// NCCL's sends wait for their receives, and what a group is given on one stream happens in order:
/// a deadlock ends this test, with the call that waits, after the stand-in's patience.
TEST(DeviceStep, NoScheduleWaitsForItself) {
    using enum parallel::ScheduleKind;
    std::vector<Pipeline> pipelines;
    for (int const stages : {2, 3, 4})
        for (std::int64_t const micro_steps : {1, 2, 3, 5, 8}) {
            for (auto const schedule : {gpipe, one_f_one_b, zero_bubble})
                pipelines.push_back({schedule, stages, 1, micro_steps});
            for (int const chunks : {2, 3, 4})
                pipelines.push_back({interleaved, stages, chunks, micro_steps});
        }
    for (auto const& pipeline : pipelines)
        for (bool const lazy : {false, true}) {
            SCOPED_TRACE(pipeline.text());
            StandinOutcome const outcome = run_on_standin(
                pipeline.stages, {.lazy = lazy, .patience = kPatience}, doubling(pipeline));
            EXPECT_THAT(outcome.violations, testing::IsEmpty());
        }
}

} // namespace
} // namespace trireme::test
