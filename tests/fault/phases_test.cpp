// kill -9 in every phase of a run: all ranks end, and the run goes on to the weights of one that
// met no fault.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/fault/fault_job.hpp"
#include "tests/support/fault_result.hpp"
#include "tests/support/tiny_run.hpp"

namespace trireme::test {
namespace {

struct PhaseOfDeath {
    char const* name;
    char const* fault;
    bool recorded; ///< the flight record exists by then
    int rank = 1;
};

class KilledIn : public testing::TestWithParam<PhaseOfDeath> {};

TEST_P(KilledIn, Phase) {
    FaultyRun run({"guard.deadline=20"});
    auto const job = run.job(2, GetParam().fault);
    ASSERT_TRUE(job.fired()) << job.output();
    EXPECT_NE(job.exit_code, 0) << job.output();
    EXPECT_NE(job.exit_code, 85) << job.output();
    double const ended = job.seconds - job.find({"fault fired: "})->at;
    EXPECT_LT(ended, 30) << job.output();
    EXPECT_TRUE(rank_processes(run.folder()).empty());
    int const rank = GetParam().rank;
    if (GetParam().recorded)
        run.expect_guilty(rank, {fmt::format("rank {}@", rank), "died without a word"});
    else
        // says mpirun
        EXPECT_NE(job.find({"process rank 1 with PID", "on signal 9"}), nullptr) << job.output();
    auto const rest = run.recover(3);
    record({"F1", fmt::format("kill -9 of rank {} of 2: {}", rank, GetParam().name),
            GetParam().recorded ? "all ranks ended; status names it"
                                : "all ranks ended; the launcher names it",
            ended, rest.seconds, rest.steps_lost});
}

std::string name_of(testing::TestParamInfo<PhaseOfDeath> const& phase) {
    std::string name = phase.param.name;
    std::erase_if(name, [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); });
    return name;
}

INSTANTIATE_TEST_SUITE_P(
    Every, KilledIn,
    testing::Values(
        PhaseOfDeath{"before MPI_Init", "start:1:*:kill", false},
        PhaseOfDeath{"MPI_Init done", "mpi/initialized:1:*:kill", false},
        PhaseOfDeath{"data open", "data/open:1:*:kill", false},
        PhaseOfDeath{"samples of a step", "step/data:1:11:kill", true},
        PhaseOfDeath{"middle of forward", "step/middle of forward:1:11:kill", true},
        PhaseOfDeath{"an all-reduce of a step", "call/all_reduce:1:11:kill", true},
        PhaseOfDeath{"update", "step/update:1:11:kill", true},
        PhaseOfDeath{"evaluation", "evaluation:1:*:kill", true},
        PhaseOfDeath{"end of the run", "end:1:*:kill", true},
        PhaseOfDeath{"a checkpoint's file is written", "save/file:1:*:kill", true},
        PhaseOfDeath{"a checkpoint's files are written, its manifest is not",
                     "save/written:1:*:kill", true},
        PhaseOfDeath{"before a checkpoint's manifest", "save/manifest:0:*:kill", true, 0},
        PhaseOfDeath{"before a checkpoint gets its name", "save/rename:0:*:kill", true, 0},
        PhaseOfDeath{"after a checkpoint got its name", "save/renamed:0:*:kill", true, 0},
        PhaseOfDeath{"old checkpoints are removed", "save/remove:0:*:kill", true, 0},
        PhaseOfDeath{"MPI_Finalize", "mpi/finalize:1:*:kill", false}),
    name_of);

TEST(Clean, TenRunsAccuseNobody) {
    for (int i = 0; i < 10; ++i) {
        FaultyRun run({"guard.deadline=5"});
        auto const job = run.job(1 + i % 4, "");
        EXPECT_EQ(job.exit_code, 0) << job.output();
        EXPECT_TRUE(job.reports().empty()) << job.output();
        EXPECT_EQ(final_hash(run.run()), unbroken_hash());
    }
    record({"F15", "10 runs without a fault on 1 to 4 ranks", "nobody accused"});
}

TEST(Clean, ARankTenTimesSlowerIsNotAccused) {
    FaultyRun run({"guard.deadline=5"});
    std::string faults; // a step takes about 20 ms
    for (int step = 0; step < 40; ++step)
        faults +=
            (step ? "," : "") + std::string("step/data:1:") + std::to_string(step) + ":sleep=0.2";
    auto const job = run.job(3, faults);
    EXPECT_TRUE(job.fired());
    EXPECT_EQ(job.exit_code, 0) << job.output();
    EXPECT_TRUE(job.reports().empty()) << job.output();
    EXPECT_EQ(final_hash(run.run()), unbroken_hash());
    record({"F15", "rank 1 of 3 takes 10 times as long in all 40 steps",
            "nobody accused, equal hash"});
}

} // namespace
} // namespace trireme::test
