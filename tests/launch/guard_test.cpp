// Runs of the command are kept general: overfitting is found and noise is not, frozen parts stay.
#include <algorithm>
#include <cmath>

#include "tests/launch/guard_runs.hpp"

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

TEST_F(Guard, FrozenPartsStayAndEveryLayoutHasTheSameWeights) {
    Set const frozen{"train.steps=6",
                     "evaluation.every=0",
                     "checkpoint.every=3",
                     "checkpoint.keep_every=3",
                     "optimizer.layer_decay=0.5",
                     R"(optimizer.freeze=["model.layers.[01].*", "*.layers.2.mlp.*"])"};
    auto const run = [&](std::string const& name, int ranks, Set const& more) {
        Set values = frozen;
        values.insert(values.end(), more.begin(), more.end());
        return train(name, values, ranks).output;
    };
    std::string const said = run("one", 0, {});
    EXPECT_NE(said.find("optimizer.freeze: "), std::string::npos) << said;
    run("zero", 2, {"parallel.zero=3", "parallel.shard=2"});
    run("pipeline", 2, {"parallel.pipeline=2"});
    run("resumed", 2, {"train.steps=3", "parallel.zero=3", "parallel.shard=2"});
    run("resumed", 0, {});
    for (auto const* name : {"zero", "pipeline", "resumed"})
        EXPECT_EQ(final_hash(path(name)), final_hash(path("one"))) << name;
    Outcome const difference =
        run_command(trireme(0, {"checkpoint", "diff", path("one/checkpoints/" + name_of_step(3)),
                                path("one/checkpoints/" + name_of_step(6))}));
    for (auto const* still : {"weight/model.layers.0.", "weight/model.layers.1.",
                              "weight/model.layers.2.mlp.", "moment1/model.layers.0."})
        EXPECT_EQ(difference.output.find(still), std::string::npos) << difference.output;
    for (auto const* moves : {"weight/model.layers.2.self_attn.q_proj.weight",
                              "weight/model.layers.3.mlp.up_proj.weight"})
        EXPECT_NE(difference.output.find(moves), std::string::npos) << difference.output;
}

} // namespace
} // namespace trireme::test
