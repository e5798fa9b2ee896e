// Runs of the command are kept general: overfitting is found and noise is not, forgetting ends a
// run, frozen parts stay.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "cluster/file.hpp"
#include "cluster/philox.hpp"
#include "data/manifest.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tests/support/tiny_run.hpp"

namespace trireme::test {
namespace {

constexpr std::int32_t kVocabulary = 101; // of the model of write_tiny_run

/// Describes a language of sequences: a token follows from the one before by `factor`, but for
/// `noise` of 16, which are any.
struct Language {
    std::int32_t factor = 5;
    std::uint32_t noise = 4;
};

std::vector<data::Sample> sequences(Language const& language, std::uint64_t seed, int count) {
    std::vector<data::Sample> all;
    for (int i = 0; i < count; ++i) {
        auto const draw = [&](std::uint64_t place) {
            return cluster::philox(seed, static_cast<std::uint64_t>(i), place)[0];
        };
        data::Sample& s = all.emplace_back();
        s.tokens.resize(16);
        for (std::size_t t = 0; t < s.tokens.size(); ++t)
            s.tokens[t] = t > 0 && draw(2 * t) % 16 >= language.noise
                              ? (s.tokens[t - 1] * language.factor + 3) % kVocabulary
                              : static_cast<std::int32_t>(draw(2 * t + 1) % kVocabulary);
        auto& labels = s.labels[data::kTokenLabels.name];
        labels.assign(s.tokens.begin() + 1, s.tokens.end());
        labels.push_back(data::kIgnoredLabel);
    }
    return all;
}

void write_data(std::string const& folder, Language const& language, std::uint64_t seed,
                int training) {
    std::filesystem::create_directories(folder);
    data::Manifest manifest{
        .task = data::TaskKind::language_modeling, .vocabulary = kVocabulary, .max_length = 32};
    manifest.splits["train"].shards = {
        data::write_shard(folder, "train-00000.h5", sequences(language, 2 * seed, training), {})};
    manifest.splits["validation"].shards = {data::write_shard(
        folder, "validation-00000.h5", sequences(language, 2 * seed + 1, 100), {})};
    data::write_manifest(folder, manifest);
}

using Set = std::vector<std::string>;

class Guard : public testing::Test {
  protected:
    Guard() : yaml_(write_tiny_run(folder_.path())) {}
    std::string path(std::string const& name) const { return folder_.path() + "/" + name; }
    /// Trains in the folder `run`. 0 ranks: without mpirun.
    Outcome train(std::string const& run, Set const& values, int ranks = 0) const {
        std::vector<std::string> words{"train", yaml_};
        Set all{"run=" + path(run),  "model.hidden_dropout=0",      "model.attention_dropout=0",
                "batch.global=8",    "optimizer.schedule=constant", "optimizer.warmup=0",
                "checkpoint.every=0"};
        all.insert(all.end(), values.begin(), values.end());
        for (auto const& value : all) words.insert(words.end(), {"--set", value});
        Outcome outcome = run_command(trireme(ranks, words));
        EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
        return outcome;
    }
    std::vector<nlohmann::json> events(std::string const& run, std::string const& kind) const {
        std::vector<nlohmann::json> found;
        for (auto const& line : metric_lines(path(run)))
            if (auto event = nlohmann::json::parse(line); event.at("kind") == kind)
                found.push_back(std::move(event));
        return found;
    }
    std::string exported(std::string const& run) const {
        Outcome const done = run_command(
            trireme(0, {"export", "--run", path(run), "--output", path(run + "-exported")}));
        EXPECT_EQ(done.exit_code, 0) << done.output;
        return done.output;
    }
    /// Last evaluation, and the one with the lowest loss.
    struct Ends {
        std::int64_t last, best;
    };
    Ends ends(std::string const& run) const {
        Ends found{0, 0};
        double lowest = INFINITY;
        for (auto const& event : events(run, "evaluation")) {
            found.last = event.at("step");
            if (event.at("loss") >= lowest) continue;
            lowest = event.at("loss");
            found.best = event.at("step");
        }
        return found;
    }
    TemporaryFolder folder_;
    std::string yaml_;
};

Set const kOverfitting{"evaluation.every=10", "guard.overfitting=stop", "train.steps=200",
                       "optimizer.learning_rate=1e-2"};

Set seeded(Set values, std::uint64_t seed, std::string const& data) {
    values.insert(values.end(), {"seed=" + std::to_string(seed), "data.path=" + data});
    return values;
}

class GuardOf : public Guard, public testing::WithParamInterface<std::uint64_t> {};

std::string name_of_step(std::int64_t step) {
    return fmt::format("step-{:09}", step);
}

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

/// Weights of an exported folder, as its file has them end to end.
std::vector<float> weights_in(std::string const& folder) {
    std::string const bytes = cluster::read_file(folder + "/model.safetensors");
    std::uint64_t header = 0;
    std::memcpy(&header, bytes.data(), sizeof header);
    std::vector<float> values((bytes.size() - 8 - header) / sizeof(float));
    std::memcpy(values.data(), bytes.data() + 8 + header, values.size() * sizeof(float));
    return values;
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
