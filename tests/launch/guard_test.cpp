// Runs of the command are kept general: overfitting is found and noise is not.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "cluster/file.hpp"
#include "tests/launch/guard_scene.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tests/support/tiny_run.hpp"

namespace trireme::test {
namespace {

Set const kOverfitting{"evaluation.every=10", "guard.overfitting=stop", "train.steps=200",
                       "optimizer.learning_rate=1e-2"};

Set seeded(Set values, std::uint64_t seed, std::string const& data) {
    values.insert(values.end(), {"seed=" + std::to_string(seed), "data.path=" + data});
    return values;
}

class GuardOf : public Guard, public testing::WithParamInterface<std::uint64_t> {};

/// 40 sequences that are half noise: the rule is learned first, then the noise by heart.
TEST_P(GuardOf, AnOverfittingToyStopsWithinTwoEvaluationsAndItsBestIsExported) {
    write_data(path("few"), {.noise = 8}, GetParam(), 40);
    Outcome const done = train("run", seeded(kOverfitting, GetParam(), path("few")));
    auto const [last, best] = ends("run");
    EXPECT_NE(done.output.find("(guard.overfitting: stop)"), std::string::npos) << done.output;
    EXPECT_LT(last, 200);
    EXPECT_LE(last - best, 20) << "two evaluations";
    EXPECT_EQ(events("run", "overfitting").size(), 1U);
    EXPECT_NE(exported("run").find("exported " + name_of_step(best)), std::string::npos);
}

/// The control takes as many steps, on data of which none is seen twice.
TEST_P(GuardOf, ARunThatLearnsGoesOnToItsEnd) {
    write_data(path("many"), {.noise = 8}, GetParam(), 1600);
    train("run", seeded(kOverfitting, GetParam(), path("many")));
    EXPECT_EQ(ends("run").last, 200);
    EXPECT_TRUE(events("run", "overfitting").empty());
}

/// Nothing to learn, at a rate at which the weights wander: the loss rises and falls, and patience
/// of two would have ended the run.
TEST_P(GuardOf, ANoisyPlateauGoesOnToItsEnd) {
    write_data(path("noise"), {.noise = 16}, GetParam(), 1600);
    train("run", seeded(kOverfitting, GetParam(), path("noise")));
    EXPECT_EQ(ends("run").last, 200);
    EXPECT_TRUE(events("run", "overfitting").empty());
    int rises = 0, most = 0;
    double before = INFINITY;
    for (auto const& event : events("run", "evaluation")) {
        rises = event.at("loss") > before ? rises + 1 : 0;
        before = event.at("loss");
        most = std::max(most, rises);
    }
    EXPECT_GE(most, 1) << "a plateau without noise shows nothing";
}
INSTANTIATE_TEST_SUITE_P(Seeds, GuardOf, testing::Values(1, 2, 3, 4, 5));

TEST_F(Guard, ARunThatIsTakenUpOnOtherRanksFindsTheSame) {
    write_data(path("few"), {.noise = 8}, 1, 40);
    auto const run = [&](std::string const& name, char const* steps, int ranks, Set const& more) {
        Set values = seeded(kOverfitting, 1, path("few"));
        values.push_back(std::string("train.steps=") + steps);
        values.insert(values.end(), more.begin(), more.end());
        train(name, values, ranks);
    };
    run("whole", "200", 0, {});
    std::string const early = std::to_string(ends("whole").best);
    run("parts", early.c_str(), 2, {"parallel.zero=3", "parallel.shard=2"});
    run("parts", "200", 0, {});
    EXPECT_EQ(final_hash(path("parts")), final_hash(path("whole")));
    EXPECT_EQ(ends("parts").last, ends("whole").last);
    Outcome const over = train("parts", seeded(kOverfitting, 1, path("few")));
    EXPECT_NE(over.output.find("the run is over; set guard.overfitting: warn to go on"),
              std::string::npos)
        << over.output;
}

/// Each with the weight of one, as torch.optim.swa_utils.AveragedModel has it.
TEST_F(Guard, TheMeanOfTheNewestCheckpointsIsExported) {
    train("run", {"train.steps=8", "evaluation.every=2", "checkpoint.every=2",
                  "checkpoint.keep_last=3", "optimizer.learning_rate=1e-2"});
    auto const weights = [&](std::string const& which, std::string const& name) {
        Outcome const done =
            run_command(trireme(0, {"export", "--run", path("run"), "--output", path(name),
                                    "--checkpoint", which, "--dtype", "fp32"}));
        EXPECT_EQ(done.exit_code, 0) << done.output;
        return weights_in(path(name));
    };
    auto const mean = weights("average-3", "mean"), a = weights(name_of_step(4), "a"),
               b = weights(name_of_step(6), "b"), c = weights(name_of_step(8), "c");
    ASSERT_EQ(mean.size(), a.size());
    std::size_t unequal = 0;
    for (std::size_t i = 0; i < mean.size(); ++i) {
        double const sum = double{c[i]} + double{b[i]} + double{a[i]};
        unequal += mean[i] != static_cast<float>(sum / 3);
    }
    EXPECT_EQ(unequal, 0U) << "of " << mean.size();
    EXPECT_NE(a, mean);
    Outcome const more = run_command(trireme(0, {"export", "--run", path("run"), "--output",
                                                 path("more"), "--checkpoint", "average-9"}));
    EXPECT_EQ(more.exit_code, 2);
    EXPECT_NE(
        more.output.find("--checkpoint: average-9: legal: best, latest, average-K of the 2 to "
                         "3 newest, step-000000008"),
        std::string::npos)
        << more.output;
}

} // namespace
} // namespace trireme::test
