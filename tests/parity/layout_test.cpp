// Layouts as threads of one process against a single process, and against each other through
// checkpoints.
#include <gtest/gtest.h>

#include "cluster/error.hpp"
#include "cluster/for_now.hpp"
#include "cluster/thread_communicator.hpp"
#include "framework/train/run_checkpoints.hpp"
#include "framework/weights/whole_tensor.hpp"
#include "parallel/budgets.hpp"
#include "tests/parity/tiny_llama.hpp"
#include "tests/support/temporary_folder.hpp"

namespace trireme::test {
namespace {

using namespace framework;

struct Layout {
    int ranks;
    parallelize::ParallelSection parallel;
};

TEST(Bitwise, OneHashForEveryZeroStageDepthAndSchedule) {
    std::vector<Layout> layouts;
    for (int zero = 0; zero <= 3; ++zero) {
        for (int ranks : {1, 2, 4}) layouts.push_back({ranks, {.zero = zero}});
        layouts.push_back(
            {4, {.shard = 2, .zero = zero, .recompute = parallelize::Recompute::full}});
        for (auto const schedule :
             {parallel::ScheduleKind::gpipe, parallel::ScheduleKind::one_f_one_b,
              parallel::ScheduleKind::zero_bubble})
            layouts.push_back(
                {2 * (1 + zero % 2), {.pipeline = 2, .zero = zero, .schedule = schedule}});
        layouts.push_back({4,
                           {.pipeline = 2,
                            .zero = zero,
                            .schedule = parallel::ScheduleKind::interleaved,
                            .virtual_stages = 2}});
        layouts.push_back({8,
                           {.pipeline = 2,
                            .shard = 2,
                            .zero = zero,
                            .schedule = parallel::ScheduleKind::interleaved,
                            .virtual_stages = 2,
                            .recompute = parallelize::Recompute::full}});
    }
    layouts.push_back({2,
                       {.zero = 1,
                        .recompute = parallelize::Recompute::selective,
                        .offload = parallelize::Offload::optimizer}});
    for (bool const tied : {false, true}) {
        RunOptions options{.steps = 4, .tied = tied};
        Curve const alone = train_as_threads(1, options);
        for (auto const& [ranks, parallel] : layouts) {
            options.parallel = parallel;
            Curve const curve = train_as_threads(ranks, options);
            EXPECT_EQ(curve.weights_sha256, alone.weights_sha256)
                << describe(ranks, parallel) << ", tied " << tied;
            EXPECT_EQ(curve.norms, alone.norms) << describe(ranks, parallel) << ", tied " << tied;
        }
    }
}

/// Without dropout a residual addition hands one gradient to both of its parts, which weight
/// gradients that wait must find as it was.
TEST(Bitwise, OneHashForEveryScheduleWithoutDropout) {
    RunOptions options{.steps = 4, .dropout = 0};
    Curve const alone = train_as_threads(1, options);
    for (auto const schedule : {parallel::ScheduleKind::gpipe, parallel::ScheduleKind::one_f_one_b,
                                parallel::ScheduleKind::zero_bubble}) {
        options.parallel = {.pipeline = 2, .schedule = schedule};
        EXPECT_EQ(train_as_threads(2, options).weights_sha256, alone.weights_sha256)
            << describe(2, options.parallel);
    }
}

TEST(Bitwise, OneHashWhenComputingInBfloat16) {
    RunOptions options{.compute = parallelize::Compute::bf16, .steps = 3};
    Curve const alone = train_as_threads(1, options);
    options.compute = parallelize::Compute::fp32;
    Curve const exact = train_as_threads(1, options);
    EXPECT_NE(alone.weights_sha256, exact.weights_sha256);
    EXPECT_NEAR(alone.losses[0], exact.losses[0], 0.05 * exact.losses[0]);
    options.compute = parallelize::Compute::bf16;
    for (auto const& [ranks, parallel] :
         {Layout{2, {.zero = 0}}, Layout{2, {.zero = 1}}, Layout{4, {.shard = 2, .zero = 2}},
          Layout{3, {.zero = 3}},
          Layout{4, {.pipeline = 2, .zero = 3, .schedule = parallel::ScheduleKind::zero_bubble}}}) {
        options.parallel = parallel;
        EXPECT_EQ(train_as_threads(ranks, options).weights_sha256, alone.weights_sha256)
            << describe(ranks, parallel);
    }
}

double worst(std::vector<double> const& a, std::vector<double> const& b) {
    EXPECT_EQ(a.size(), b.size());
    double most = 0;
    for (std::size_t i = 0; i < a.size(); ++i)
        most = std::max(most, std::abs(a[i] - b[i]) / std::abs(b[i]));
    return most;
}

/// In float64 nothing hides in rounding: heads, columns and words that do not divide, shared key
/// heads, dropout.
TEST(Tensor, EqualsOneRankInFloat64) {
    for (bool const tied : {false, true}) {
        RunOptions options{.mode = parallelize::NumericsMode::fast,
                           .compute = parallelize::Compute::fp64,
                           .steps = 4,
                           .tied = tied};
        Curve const alone = train_as_threads(1, options);
        for (auto const& [ranks, parallel] :
             {Layout{2, {.tensor = 2}}, Layout{3, {.tensor = 3}},
              Layout{4, {.tensor = 2, .zero = 1}},
              Layout{4, {.tensor = 2, .zero = 3, .recompute = parallelize::Recompute::full}},
              Layout{4,
                     {.pipeline = 2, .tensor = 2, .recompute = parallelize::Recompute::selective}},
              Layout{8,
                     {.pipeline = 2,
                     .tensor = 2,
                     .zero = 3,
                     .schedule = parallel::ScheduleKind::zero_bubble}}}) {
            options.parallel = parallel;
            Curve const curve = train_as_threads(ranks, options);
            EXPECT_LT(worst(curve.losses, alone.losses), 1e-12)
                << describe(ranks, parallel) << ", tied " << tied;
            EXPECT_LT(worst(curve.norms, alone.norms), 1e-11)
                << describe(ranks, parallel) << ", tied " << tied;
        }
    }
}

TEST(Tensor, FirstLossInFloat32) {
    RunOptions options{.steps = 1};
    Curve const alone = train_as_threads(1, options);
    for (int const tensor : {2, 3}) {
        options.parallel = {.tensor = tensor};
        EXPECT_NEAR(train_as_threads(tensor, options).losses[0], alone.losses[0], 1e-6);
    }
}

/// Counts what a rank that is a thread sends for the gradients of the embeddings.
struct OfEmbeddings : cluster::CallObserver {
    static thread_local std::size_t elements;
    void on_start(std::string_view, cluster::CallRecord const& call) override {
        if (call.name == "gradient/embeddings") elements += call.count;
    }
    void on_finish(std::string_view, std::uint64_t) override {}
};
thread_local std::size_t OfEmbeddings::elements = 0;

/// Few tokens touch few of the 101 rows of the table. ZeRO 1 sends all of them, and a sum of two is
/// the same in either order. Each step has other rows, so moments go on where a gradient has ended.
TEST(Fast, OnlyTouchedRowsTravelAndNothingElseChanges) {
    cluster::ForNow<std::int64_t> const blocks(parallel::budgets.block, 32); // or padding is most
    for (std::int64_t const samples : {1, 2, 30}) { // a rank without a micro-batch; few rows; all
        RunOptions options{
            .mode = parallelize::NumericsMode::fast, .steps = 6, .batch = {samples, 30, 1}};
        options.parallel = {.zero = 1};
        Curve const whole = train_as_threads(2, options);
        options.parallel = {.zero = 0};
        cluster::run_as_threads(
            2,
            [&](auto& world) {
                OfEmbeddings::elements = 0;
                Curve const curve = train_tiny(world, options);
                EXPECT_EQ(curve.weights_sha256, whole.weights_sha256) << samples;
                EXPECT_EQ(curve.norms, whole.norms) << samples;
                EXPECT_EQ(OfEmbeddings::elements < 6 * 101 * 24 / 2, samples < 30) << samples;
            },
            {.observer = std::make_shared<OfEmbeddings>()});
    }
}

std::vector<Layout> unlike_layouts() {
    return {
        {1, {}},
        {3, {.zero = 1}},
        {4, {.shard = 2, .zero = 3}},
        {2, {.tensor = 2}},
        {3, {.tensor = 3, .recompute = parallelize::Recompute::full}},
        {4, {.pipeline = 4, .schedule = parallel::ScheduleKind::gpipe}},
        {4, {.pipeline = 2, .schedule = parallel::ScheduleKind::interleaved, .virtual_stages = 2}},
        {8, {.pipeline = 2, .tensor = 2, .zero = 3}}};
}

/// Numbers that no other element has, so that one in a wrong place shows.
at::Tensor numbered(parallel::ParameterSpec const& spec, weights::Kept kept) {
    at::Tensor const whole = at::empty(spec.shape, at::kFloat);
    return at::arange(whole.numel(), at::kFloat).view(spec.shape).add_(static_cast<int>(kept));
}

void put_and_get_back(TinyRun& run, std::string const& what) {
    run.step(); // before it there are no moments
    auto const& store = run.model().store();
    for (weights::Kept const kept :
         {weights::Kept::weight, weights::Kept::moment1, weights::Kept::moment2}) {
        for (auto const& p : store.parameters())
            weights::put_whole(*p, kept, numbered(p->spec(), kept).to(at::kDouble));
        for (auto const& spec : run.model().specs())
            EXPECT_TRUE(at::equal(weights::whole_tensor(spec, store, run.model().mesh(), kept),
                                  numbered(spec, kept)))
                << what << ", " << spec.name;
    }
}

TEST(WholeTensors, ArePutWhereAnyLayoutKeepsThem) {
    for (auto const& [ranks, parallel] : unlike_layouts()) {
        RunOptions const options{.tied = true, .parallel = parallel};
        cluster::run_as_threads(ranks, [&](auto& world) {
            TinyRun run(world, options);
            put_and_get_back(run, describe(world.size(), options.parallel));
            auto const& first = *run.model().store().parameters().front();
            EXPECT_THROW(weights::put_whole(first, weights::Kept::weight, at::zeros({3, 1})),
                         cluster::JobError);
        });
    }
}

/// Three steps in one layout, saved, taken up in another: the same weights and moments bit by bit,
/// and the next steps as if nothing had happened.
TEST(Checkpoints, AnyLayoutTakesUpWhatAnyLayoutSaved) {
    std::vector<Layout> const layouts = unlike_layouts();
    RunOptions options{.steps = 5, .tied = true};
    Curve const unbroken = train_as_threads(1, options);
    config::Config config;
    std::vector<std::string> hashes;
    for (std::size_t i = 0; i < layouts.size(); ++i) {
        TemporaryFolder const folder;
        config.run = folder.path();
        auto const contents = [](TinyRun& run) {
            std::vector<at::Tensor> all;
            for (auto const& spec : run.model().specs())
                for (weights::Kept const kept :
                     {weights::Kept::weight, weights::Kept::moment1, weights::Kept::moment2})
                    all.push_back(
                        weights::whole_tensor(spec, run.model().store(), run.model().mesh(), kept));
            return all;
        };
        std::vector<at::Tensor> saved;
        options.parallel = layouts[i].parallel;
        cluster::run_as_threads(layouts[i].ranks, [&](auto& world) {
            TinyRun run(world, options);
            for (int step = 0; step < 3; ++step) run.step();
            train::RunCheckpoints checkpoints(config, "data", run.model().store(), world);
            checkpoints.save({.step = 3, .cursor = 21});
            checkpoints.finish();
            auto const all = contents(run);
            if (world.rank() == 0) saved = all;
        });
        for (std::size_t shift : {1U, 3U, 6U}) {
            auto const& [ranks, parallel] = layouts[(i + shift) % layouts.size()];
            options.parallel = parallel;
            std::string const what = describe(layouts[i].ranks, layouts[i].parallel) + " -> " +
                                     describe(ranks, parallel);
            cluster::run_as_threads(ranks, [&](auto& world) {
                TinyRun run(world, options);
                auto const found = train::RunCheckpoints(config, "data", run.model().store(), world)
                                       .resume([](auto const&) {});
                run.model().refresh();
                run.steps() = found.value().step;
                auto const all = contents(run);
                // the second has moments of the first in it
                double const next = run.step(), after = run.step();
                if (world.rank() != 0) return;
                for (std::size_t t = 0; t < all.size(); ++t)
                    EXPECT_TRUE(at::equal(all[t], saved[t])) << what;
                EXPECT_EQ(found->cursor, 21);
                EXPECT_NEAR(next, unbroken.losses[3], 2e-6 * unbroken.losses[3]) << what;
                EXPECT_NEAR(after, unbroken.losses[4], 2e-6 * unbroken.losses[4]) << what;
            });
        }
    }
}

} // namespace
} // namespace trireme::test
