// What a model knew is held while it learns: by replay, by the divergence from its base, by a
// limit; and means of its weights.
#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "tests/launch/guard_runs.hpp"

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

/// The base speaks the first language alone, and the text is the second's: what was known is held
/// where the new text does not need it otherwise.
TEST_F(Forgetting, DivergenceFromTheBaseLowersItAndAnyLayoutOrKillEndsAlike) {
    Set held = tune_;
    held.push_back("train.base_divergence=0.5");
    train("held", held);
    double const first = events("free", "evaluation").front().at("loss"),
                 last = events("held", "evaluation").back().at("loss");
    fmt::print("forgotten: {:.3f}, with the divergence {:.3f}; loss of the task {:.3f}\n",
               forgotten("free"), forgotten("held"), last);
    EXPECT_GT(forgotten("free"), 0.5);
    EXPECT_LT(forgotten("held"), forgotten("free") / 2);
    EXPECT_LT(last, first) << "the task is learned too";
    auto const with = [&](Set const& more) {
        Set values = held;
        values.insert(values.end(), more.begin(), more.end());
        return values;
    };
    train("zero", with({"parallel.zero=3", "parallel.shard=2"}), 2);
    train("pipeline", with({"parallel.pipeline=2"}), 2);
    train("both", with({"parallel.pipeline=2", "parallel.zero=2", "parallel.shard=2"}), 4);
    setenv("TRIREME_FAULT", "step/update:0:33:kill", 1);
    Outcome const killed = run_command(trireme(2, words("killed", with({"checkpoint.every=10"}))));
    unsetenv("TRIREME_FAULT");
    EXPECT_NE(killed.exit_code, 0) << killed.output;
    EXPECT_TRUE(final_hash(path("killed")).empty());
    train("killed", held);
    for (auto const* name : {"zero", "pipeline", "both", "killed"})
        EXPECT_EQ(final_hash(path(name)), final_hash(path("held"))) << name;
    // The base is that of the beginning, or none.
    exported("free");
    Outcome const other = run_command(trireme(
        0, {"train", path("held/config.yaml"), "--set", "model.path=" + path("free-exported")}));
    EXPECT_EQ(other.exit_code, 2) << other.output;
    EXPECT_NE(other.output.find("free-exported: has other weights than those with which the run"),
              std::string::npos)
        << other.output;
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

/// Follows the weights of each step and changes nothing of the run; one result in every layout, and
/// of a run that is taken up.
TEST_F(Guard, TheMovingAverageIsThatOfTheWeightsOfEachStepInEveryLayout) {
    Set const every{"train.steps=4", "evaluation.every=0", "checkpoint.every=1",
                    "checkpoint.keep_last=9", "optimizer.learning_rate=1e-2"};
    auto const run = [&](std::string const& name, int ranks, Set const& more) {
        Set values = every;
        values.insert(values.end(), more.begin(), more.end());
        train(name, values, ranks);
    };
    auto const weights = [&](std::string const& name, std::string const& which) {
        std::string const to = name + "-" + which;
        Outcome const done =
            run_command(trireme(0, {"export", "--run", path(name), "--output", path(to),
                                    "--checkpoint", which, "--dtype", "fp32"}));
        EXPECT_EQ(done.exit_code, 0) << done.output;
        return weights_in(path(to));
    };
    Set const averaged{"optimizer.ema_decay=0.75"};
    run("plain", 0, {});
    run("one", 0, averaged);
    EXPECT_EQ(final_hash(path("one")), final_hash(path("plain")));
    auto const found = weights("one", "ema");
    std::vector<float> wanted = weights("one", name_of_step(1));
    ASSERT_EQ(found.size(), wanted.size());
    std::vector<float> now;
    for (int step = 2; step <= 4; ++step) {
        now = weights("one", name_of_step(step));
        for (std::size_t i = 0; i < wanted.size(); ++i)
            wanted[i] = 0.75F * wanted[i] + 0.25F * now[i];
    }
    float largest = 0; // the sum of two products is rounded otherwise
    for (std::size_t i = 0; i < wanted.size(); ++i)
        largest = std::max(largest, std::abs(found[i] - wanted[i]));
    EXPECT_LE(largest, 2.5e-7F);
    EXPECT_NE(found, now);
    auto const also = [&](Set more) {
        more.insert(more.end(), averaged.begin(), averaged.end());
        return more;
    };
    run("zero", 2, also({"parallel.zero=3", "parallel.shard=2"}));
    run("pipeline", 4, also({"parallel.pipeline=2", "parallel.zero=1", "parallel.shard=2"}));
    run("resumed", 2, also({"train.steps=2", "parallel.offload=optimizer"}));
    run("resumed", 0, averaged);
    for (auto const* name : {"zero", "pipeline", "resumed"})
        EXPECT_EQ(weights(name, "ema"), found) << name;
    Outcome const none = run_command(trireme(
        0, {"export", "--run", path("plain"), "--output", path("none"), "--checkpoint", "ema"}));
    EXPECT_EQ(none.exit_code, 2);
    EXPECT_NE(none.output.find("--checkpoint: ema: legal: best, latest, ema of a run with "
                               "optimizer.ema_decay, average-K of the 2 to "),
              std::string::npos)
        << none.output;
}

} // namespace
} // namespace trireme::test
