// Whole training steps on the stand-in end as they do on ranks that are threads, and the host waits for none of them.
#include <gmock/gmock.h>

#include "tests/device/device_run.hpp"
#include "tests/support/composed_path.hpp"

namespace trireme::test {
namespace {

using framework::NumericsMode;

TEST(DeviceStep, EveryLayoutEndsWithTheWeightsOfOneProcess) {
    ComposedPath const path;
    for (auto const& [ranks, parallel] :
         {Layout{1, {}}, Layout{2, {.zero = 0}}, Layout{2, {.zero = 1}}, Layout{2, {.zero = 2}}, Layout{2, {.zero = 3}},
          Layout{4, {.shard = 2, .zero = 3, .recompute = "full"}}, Layout{2, {.pipeline = 2, .schedule = "1f1b"}},
          Layout{4, {.pipeline = 2, .zero = 3, .schedule = "zero-bubble"}}}) {
        SCOPED_TRACE(describe(ranks, parallel));
        RunOptions const options = small_run(parallel);
        RunOptions alone = options;
        alone.parallel = {};
        Body const body = training(options, train_as_threads(1, alone));
        StandinOutcome const outcome = run_on_standin(ranks, {.lazy = true}, body);
        EXPECT_THAT(outcome.violations, testing::IsEmpty());
    }
}

TEST(DeviceStep, FastModeAndTensorParallelismEndWithTheWeightsOfThreads) {
    ComposedPath const path;
    for (auto const& [ranks, parallel] : {Layout{2, {.zero = 0}}, Layout{2, {.zero = 2}}, Layout{2, {.tensor = 2}},
                                          Layout{4, {.tensor = 2, .zero = 3, .recompute = "selective"}}}) {
        SCOPED_TRACE(describe(ranks, parallel));
        RunOptions const options = small_run(parallel, NumericsMode::fast);
        Curve const wanted = train_as_threads(ranks, options);
        StandinOutcome const outcome = run_on_standin(ranks, {.lazy = true}, training(options, wanted));
        EXPECT_THAT(outcome.violations, testing::IsEmpty());
    }
}

} // namespace
} // namespace trireme::test
