// Bitwise mode over every combination of what it promises: one SHA-256 of the weights, dropout on.
#include <gtest/gtest.h>

#include "tests/parity/tiny_llama.hpp"

namespace trireme::test {
namespace {

using namespace framework;
using parallel::ScheduleKind;

struct Depth {
    int pipeline;
    parallel::ScheduleKind schedule;
    int virtual_stages;
};

void expect_one_hash(int steps) {
    RunOptions options{.steps = steps, .tied = true};
    auto const alone = train_as_threads(1, options);
    int layouts = 0;
    for (int const data : {1, 2, 4})
        for (int zero = 0; zero <= 3; ++zero)
            for (auto const& [pipeline, schedule, parts] : {Depth{1, ScheduleKind::one_f_one_b, 1},
                                                            {2, ScheduleKind::gpipe, 1},
                                                            {2, ScheduleKind::one_f_one_b, 1},
                                                            {2, ScheduleKind::interleaved, 2},
                                                            {2, ScheduleKind::zero_bubble, 1}})
                for (auto const recompute :
                     {parallelize::Recompute::none, parallelize::Recompute::full}) {
                    options.parallel = {.pipeline = pipeline,
                                        .zero = zero,
                                        .schedule = schedule,
                                        .virtual_stages = parts,
                                        .recompute = recompute};
                    auto const curve = train_as_threads(data * pipeline, options);
                    ASSERT_EQ(curve.weights_sha256, alone.weights_sha256)
                        << describe(data * pipeline, options.parallel);
                    ASSERT_EQ(std::ssize(curve.losses), steps);
                    ++layouts;
                }
    EXPECT_EQ(layouts, 120);
}

TEST(EveryCombination, OneHash) {
    expect_one_hash(5);
}

TEST(EveryCombination, LongOneHashAfterTwentySteps) {
    expect_one_hash(20);
}

} // namespace
} // namespace trireme::test
