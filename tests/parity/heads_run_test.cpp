// Several labels, masked words, weighted classes and tokens, and documents in windows, by command:
// in any layout one hash, an export that says what it is, and the same metrics to the last digit.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>

#include "cluster/file.hpp"
#include "data/manifest.hpp"
#include "data/token_weights.hpp"
#include "tests/parity/task_command.hpp"

namespace trireme::test {
namespace {

std::string const kGolden = TRIREME_GOLDEN;

/// Next tokens, of which the first two are read only. Two of three samples weigh theirs by turns.
void label_next_tokens(std::int32_t i, std::array<std::int32_t, 2> const& weights,
                       data::Sample& sample) {
    auto& labels = sample.labels[data::kTokenLabels.name];
    labels.assign(sample.tokens.begin() + 1, sample.tokens.end());
    labels[0] = data::kIgnoredLabel;
    labels.push_back(2);
    if (i % 3 == 1 && weights[0] != weights[1]) return;
    auto& own = sample.labels[data::kTokenWeights.name];
    for (std::size_t t = 0; t < labels.size(); ++t)
        own.push_back(labels[t] < 0 ? 0 : weights.at(t % 2));
}

/// 60 samples with the columns of every task here; two of three are windows of one row. `weights`:
/// of tokens by turns.
std::vector<data::Sample> samples(bool windows, std::array<std::int32_t, 2> const& weights) {
    std::vector<data::Sample> all;
    for (std::int32_t i = 0; i < 60; ++i) {
        data::Sample& s = all.emplace_back();
        for (std::int32_t t = 0; t < 3 + i * 5 % 11; ++t) {
            s.tokens.push_back(5 + (i * 17 + t * t * 7) % 90);
            s.segments.push_back(0);
            s.labels[data::kWords.name].push_back(t == 0 ? data::kIgnoredLabel : (t - 1) / 2);
        }
        label_next_tokens(i, weights, s);
        std::int32_t const row = windows ? i / 3 * 2 + (i % 3 == 2) : i;
        s.labels[data::kClassLabel.name] = {row % 7 % 3};
        s.reals[data::kTargets.name] = {static_cast<float>(row % 2),
                                        row % 5 == 4 ? data::kIgnoredValue
                                                     : static_cast<float>(row % 3 == 0)};
        s.source = {0, 1 + row};
    }
    return all;
}

class Heads : public TaskCommand, public testing::Test {
  protected:
    std::array<std::int32_t, 2> weights_{data::kWeightUnit, data::kWeightUnit}; ///< of tokens

    /// Writes data and a configuration of the task. Returns the path of the latter.
    std::string write(data::TaskKind task, std::string const& model,
                      std::vector<std::string> const& labels, std::string const& more = "",
                      bool windows = false) {
        std::filesystem::create_directories(path("data"));
        data::Manifest manifest{.task = task, .labels = labels, .vocabulary = 97, .max_length = 16};
        manifest.sources = {"rows.csv"};
        for (auto const* split : {"train", "validation"}) {
            manifest.splits[split].shards = {
                data::write_shard(path("data"), std::string(split) + "-00000.h5",
                                  samples(windows, weights_), {task, labels})};
            if (task == data::TaskKind::classification)
                for (std::int64_t c = 0; c < std::ssize(labels); ++c)
                    manifest.splits[split].label_counts.push_back(
                        std::ranges::count_if(samples(windows, weights_), [&](auto const& s) {
                            return s.labels.at(data::kClassLabel.name).at(0) == c;
                        }));
        }
        data::write_manifest(path("data"), manifest);
        cluster::write_file(path("data/tokenizer.json"),
                            R"({"model": {"vocab": {"[PAD]": 0, "[MASK]": 4}}})");
        cluster::write_file(path("data/tokenizer_config.json"), R"({"mask_token": "[MASK]"})");
        cluster::write_file(path("run.yaml"),
                            "run: " + path("run") + "\ntask: " + data::schema_of(task).name +
                                "\nmodel:\n  path: " + kGolden + "/" + model +
                                "\ndata:\n  path: " + path("data") +
                                "\nbatch:\n  global: 11\n  tokens_per_micro_batch: 30\nnumerics:\n "
                                " mode: bitwise\n  threads: 1\noptimizer:\n  learning_rate: "
                                "1e-3\ntrain:\n  steps: 12\n" +
                                more);
        return path("run.yaml");
    }
    /// Trains in four layouts, exports, verifies. Returns config.json of the export.
    nlohmann::json one_hash() {
        std::string const alone = train(1, {}, "one");
        EXPECT_EQ(alone.size(), 64U);
        EXPECT_EQ(train(2, {}, "two"), alone);
        EXPECT_EQ(train(2, {"parallel.zero=3"}, "zero"), alone);
        EXPECT_EQ(train(2, {"parallel.pipeline=2"}, "pipeline"), alone);
        Outcome const exported =
            run_command(trireme(0, {"export", "--run", path("two"), "--output", path("model")}));
        EXPECT_EQ(exported.exit_code, 0) << exported.output;
        Outcome const verified = run_command(trireme(2, {"verify", path("model")}));
        EXPECT_EQ(verified.exit_code, 0) << verified.output;
        return nlohmann::json::parse(cluster::read_file(path("model/config.json")));
    }
    /// Evaluates on 1 and 2 ranks and two stages, and compares with the best evaluation of the run.
    nlohmann::json one_evaluation() {
        auto const first = evaluate(1, {}, "p1");
        EXPECT_EQ(evaluate(2, {}, "p2"), first);
        EXPECT_EQ(evaluate(2, {"parallel.pipeline=2"}, "p3"), first);
        EXPECT_EQ(cluster::read_file(path("p2")), cluster::read_file(path("p1")));
        EXPECT_EQ(cluster::read_file(path("p3")), cluster::read_file(path("p1")));
        // The best of the run is what was exported.
        double best = std::numeric_limits<double>::infinity();
        for (auto const& line : metric_lines(path("two")))
            if (auto const event = nlohmann::json::parse(line); event.at("kind") == "evaluation")
                best = std::min(best, event.at("loss").get<double>());
        EXPECT_NEAR(best, first.at("loss").get<double>(), 1e-5);
        return first;
    }
    void expect_parity(std::string const& word) {
        Outcome const proved = run_command(trireme(2, {"parity", path("run.yaml")}));
        EXPECT_EQ(proved.exit_code, 0) << proved.output;
        EXPECT_NE(proved.output.find("parity: passed"), std::string::npos) << proved.output;
        EXPECT_NE(proved.output.find(word), std::string::npos) << proved.output;
    }
    void expect_no_generation() {
        std::filesystem::copy_file(std::string(kGolden) + "/tokenizer/tokenizer.json",
                                   path("model/tokenizer.json"),
                                   std::filesystem::copy_options::overwrite_existing);
        Outcome const generated =
            run_command(trireme(0, {"generate", path("model"), "--prompt", "the film"}));
        EXPECT_EQ(generated.exit_code, 2);
        EXPECT_NE(generated.output.find("encoder"), std::string::npos) << generated.output;
    }
};

TEST_F(Heads, LongSeveralLabels) {
    write(data::TaskKind::multi_label, "bert", {"warm", "slow"});
    auto const config = one_hash();
    EXPECT_EQ(config.at("problem_type"), "multi_label_classification");
    EXPECT_EQ(config.at("architectures"), nlohmann::json{"BertForSequenceClassification"});
    auto const found = one_evaluation();
    for (char const* name : {"loss", "accuracy", "f1", "micro_f1", "exact_match", "roc_auc"})
        EXPECT_TRUE(found.at(name).is_number()) << name;
    auto const lines = lines_of("p1");
    ASSERT_EQ(lines.size(), 60U);
    for (auto const& line : lines)
        for (auto const& [name, share] : line.at("probabilities").items()) {
            auto const& told = line.at("predictions");
            EXPECT_EQ(std::find(told.begin(), told.end(), name) != told.end(),
                      share.get<double>() >= 0.5);
        }
    expect_no_generation();
    expect_parity("multi-label classifier");
}

TEST_F(Heads, MaskedWords) {
    write(data::TaskKind::masked_language_modeling, "bert-masked", {},
          "evaluation:\n  metric: perplexity\n");
    EXPECT_EQ(one_hash().at("architectures"), nlohmann::json{"BertForMaskedLM"});
    auto const found = one_evaluation();
    for (char const* name : {"loss", "accuracy", "perplexity"})
        EXPECT_TRUE(found.at(name).is_number()) << name;
    std::int64_t trained = 0;
    for (auto const& line : lines_of("p1")) trained += line.at("trained").get<std::int64_t>();
    EXPECT_GT(trained, 60);
    EXPECT_NE(train(1, {"seed=2"}, "seed"), train(1, {}, "again"));
    expect_no_generation();
    expect_parity("masked language model");
    Outcome const refused = run_command(trireme(
        0, {"train", path("run.yaml"), "--dry-run", "--set", "model.path=" + kGolden + "/llama"}));
    EXPECT_EQ(refused.exit_code, 2);
    EXPECT_NE(refused.output.find("is a llama decoder; legal: classification"), std::string::npos)
        << refused.output;
    std::filesystem::remove(path("data/tokenizer_config.json"));
    Outcome const none = run_command(trireme(0, {"train", path("run.yaml"), "--dry-run"}));
    EXPECT_EQ(none.exit_code, 2);
    EXPECT_NE(none.output.find("mask_token: none that"), std::string::npos) << none.output;
}

TEST_F(Heads, LongWeightedClassesInWindows) {
    write(data::TaskKind::classification, "bert", {"bad", "good", "so-so"},
          "  class_weights: {bad: 2, so-so: 0.25}\n", true);
    one_hash();
    EXPECT_NE(train(1, {"train.class_weights=none"}, "none"), final_hash(path("one")));
    EXPECT_NE(train(1, {"train.class_weights=balanced"}, "balanced"), final_hash(path("none")));
    // Documents of one or two windows: two of every three samples are one.
    auto const found = one_evaluation();
    EXPECT_EQ(found.at("samples"), 40);
    EXPECT_EQ(lines_of("p1").size(), 40U);
    for (char const* name : {"mcc", "roc_auc", "calibration_error"})
        EXPECT_TRUE(found.at(name).is_number()) << name;
    EXPECT_EQ(found.at("reliability").size(), 15U);
    EXPECT_NE(evaluate(1, {}, "pm", {"--pooling", "max"}).at("loss"), found.at("loss"));
    expect_parity("class-weights");
    auto const refused = [&](std::string const& value, std::string const& line) {
        Outcome const result = run_command(trireme(
            0, {"train", path("run.yaml"), "--dry-run", "--set", "train.class_weights=" + value}));
        EXPECT_EQ(result.exit_code, 2);
        EXPECT_NE(result.output.find(line), std::string::npos) << result.output;
    };
    refused("{awful: 2}", "train.class_weights: awful: legal: the names of the classes: bad, good");
    refused("{bad: 0}", "train.class_weights: {bad: 0}: legal: none, balanced, or a number > 0");
    refused("heavy", "train.class_weights: heavy: legal: none, balanced");
}

/// Weights change what is learned; halves alone do not, to the last bit, as the sum of the weights
/// divides.
TEST_F(Heads, WeighedTokens) {
    auto const hash_of = [&](std::array<std::int32_t, 2> const& weights, std::string const& name) {
        weights_ = weights;
        write(data::TaskKind::generation, "llama", {});
        return train(1, {}, name);
    };
    std::int32_t const unit = data::kWeightUnit;
    auto const equal = hash_of({unit, unit}, "equal");
    EXPECT_EQ(hash_of({unit / 2, unit / 2}, "halves"), equal);
    EXPECT_NE(hash_of({unit / 4, 2 * unit}, "weighed"), equal);
    one_hash();
    EXPECT_TRUE(one_evaluation().at("perplexity").is_number()); // by the count of tokens
    expect_parity("language-model");
}

} // namespace
} // namespace trireme::test
