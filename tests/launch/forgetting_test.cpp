// Runs of the command that are kept general: forgetting ends a run, frozen parts stay.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "cluster/file.hpp"
#include "tests/launch/guard_scene.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tests/support/tiny_run.hpp"

namespace trireme::test {
namespace {

/// A model of one language, which learns another and forgets the first.
class Forgetting : public Guard {
  protected:
    Forgetting() {
        write_data(path("general"), {.factor = 5, .noise = 1}, 1, 800);
        write_data(path("other"), {.factor = 7, .noise = 1}, 2, 800);
        train("base", {"data.path=" + path("general"), "train.steps=150", "evaluation.every=50",
                       "optimizer.learning_rate=1e-2"});
        exported("base");
        tune_ = {"data.path=" + path("other"),
                 "model.path=" + path("base-exported"),
                 "model.from_scratch=false",
                 "train.steps=60",
                 "evaluation.every=5",
                 "optimizer.learning_rate=2e-3",
                 "guard.general_data=" + path("general")};
        train("free", tune_);
    }
    /// Loss on the first language at the end less that at the beginning.
    double forgotten(std::string const& run) const {
        auto const losses = events(run, "general");
        return losses.back().at("loss").get<double>() - losses.front().at("loss").get<double>();
    }
    Set tune_;
};

/// Takes the same number of steps; the text that is played again is a source of the mixture.
TEST_F(Forgetting, ReplayOfGeneralTextLowersIt) {
    Set replay = tune_;
    replay.push_back("data.train=[{name: task, weight: 7}, {name: general, path: " +
                     path("general") + ", weight: 3}]");
    train("replay", replay, 2);
    EXPECT_GT(forgotten("free"), 0.5);
    EXPECT_LT(forgotten("replay"), forgotten("free") / 2);
    double const first = events("free", "evaluation").front().at("loss"),
                 last = events("replay", "evaluation").back().at("loss");
    EXPECT_LT(last, first) << "the task is learned too";
    fmt::print("forgotten: {:.3f}, with replay {:.3f}\n", forgotten("free"), forgotten("replay"));
}

TEST_F(Forgetting, EndsTheRunAndTheBestBelowTheLimitIsExported) {
    Set limited = tune_;
    limited.push_back("guard.max_forgetting=0.5");
    Outcome const done = train("limited", limited, 2);
    auto const losses = events("limited", "general");
    ASSERT_GE(losses.size(), 3U) << done.output;
    double const before = losses.front().at("loss"), last = losses.back().at("loss");
    EXPECT_GT(last, before + 0.5);
    EXPECT_GT(events("free", "general").back().at("loss"), last);
    EXPECT_NE(done.output.find("(guard.max_forgetting: 0.5); the best below that is step "),
              std::string::npos)
        << done.output;
    std::int64_t best = 0;
    for (auto const& event : losses)
        if (event.at("loss") <= before + 0.5) best = event.at("step");
    EXPECT_NE(exported("limited").find("exported " + name_of_step(best)), std::string::npos);
    // The text is that of the beginning, or none.
    run_command({"rm", "-r", path("general")});
    write_data(path("general"), {.factor = 9}, 1, 10);
    Outcome const changed = run_command(
        trireme(0, {"train", path("limited/config.yaml"), "--set", "guard.max_forgetting=0"}));
    EXPECT_EQ(changed.exit_code, 2) << changed.output;
    EXPECT_NE(changed.output.find("legal: the text that it began with, or another `run`"),
              std::string::npos)
        << changed.output;
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
