// The BERT path through the command: exact evaluation and bitwise training at any number of ranks.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "cluster/file.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tests/support/tiny_run.hpp"

namespace trireme::test {
namespace {

std::string const kGolden = TRIREME_GOLDEN;

class Bert : public testing::Test {
  protected:
    void SetUp() override {
        std::string rows;
        char const* const words[] = {"the film",   "is good", "bad plot",
                                     "very great", "not",     "boring actors and"};
        char const* const labels[] = {"bad", "good", "so-so"};
        for (int i = 0; i < 61; ++i) {
            std::string text;
            for (int w = 0; w <= i % 4; ++w)
                text += std::string(w ? " " : "") + words[(i * 7 + w * 5) % 6];
            rows += nlohmann::json{{"text", text}, {"label", labels[(i / 2) % 3]}}.dump() + "\n";
        }
        for (char const* split : {"train.jsonl", "validation.jsonl", "test.jsonl"})
            cluster::write_file(path(split), rows);
        Outcome const prepared = run_command(
            trireme(0, {"prepare", "--task", "classification", "--tokenizer",
                        kGolden + "/tokenizer", "--label", "label", "--max-length", "16",
                        "--output", path("data"), "--train", path("train.jsonl"), "--test",
                        path("test.jsonl"), "--validation", path("validation.jsonl")}));
        ASSERT_EQ(prepared.exit_code, 0) << prepared.output;
    }
    std::string path(std::string const& name) const { return folder_.path() + "/" + name; }
    TemporaryFolder folder_;
};

std::string train(std::string const& folder, int ranks) {
    std::string const run = folder + "/run-" + std::to_string(ranks), yaml = folder + "/run.yaml";
    cluster::write_file(yaml, "run: " + run + "\ntask: classification\nmodel:\n  path: " + kGolden +
                                  "/bert\ndata:\n  path: " + folder +
                                  "/data\nbatch:\n  global: 11\n  tokens_per_micro_batch: "
                                  "20\nnumerics:\n  mode: bitwise\n  "
                                  "threads: 1\ntrain:\n  steps: 12\n");
    Outcome const result = run_command(trireme(ranks, {"train", yaml}));
    EXPECT_EQ(result.exit_code, 0) << result.output;
    return final_hash(run);
}

TEST_F(Bert, BitwiseTrainingHasOneHashAndEvaluationIsExactAtAnyRankCount) {
    std::string const alone = train(folder_.path(), 1);
    ASSERT_EQ(alone.size(), 64U);
    EXPECT_EQ(train(folder_.path(), 2), alone);
    EXPECT_EQ(train(folder_.path(), 3), alone);

    Outcome const exported =
        run_command(trireme(0, {"export", "--run", path("run-2"), "--output", path("model")}));
    ASSERT_EQ(exported.exit_code, 0) << exported.output;
    Outcome const half = run_command(trireme(
        0, {"export", "--run", path("run-2"), "--dtype", "bf16", "--output", path("half")}));
    ASSERT_EQ(half.exit_code, 0) << half.output;
    EXPECT_EQ(nlohmann::json::parse(cluster::read_file(path("half/config.json"))).at("dtype"),
              "bfloat16");
    std::string first;
    for (int const ranks : {1, 2, 3}) {
        Outcome const result =
            run_command(trireme(ranks, {"evaluate", "--model", path("model"), "--data",
                                        path("data"), "--tokens-per-micro-batch", "50",
                                        "--predictions", path("p" + std::to_string(ranks))}));
        ASSERT_EQ(result.exit_code, 0) << result.output;
        auto const metrics = nlohmann::json::parse(result.output.substr(result.output.find('{')));
        EXPECT_EQ(metrics.at("samples"), 61) << "every sample once, none twice";
        std::string const all =
            metrics.dump() + cluster::read_file(path("p" + std::to_string(ranks)));
        if (first.empty()) first = all;
        EXPECT_EQ(all, first) << ranks << " ranks";
    }
    // Nothing is dropped: the same with a model that knows no dropout.
    auto config = nlohmann::json::parse(cluster::read_file(path("model/config.json")));
    ASSERT_GT(config.at("hidden_dropout_prob"), 0.0);
    config["hidden_dropout_prob"] = config["attention_probs_dropout_prob"] =
        config["classifier_dropout"] = 0.0;
    cluster::write_file(path("model/config.json"), config.dump());
    Outcome const plain =
        run_command(trireme(0, {"evaluate", "--model", path("model"), "--data", path("data"),
                                "--tokens-per-micro-batch", "50", "--predictions", path("plain")}));
    ASSERT_EQ(plain.exit_code, 0) << plain.output;
    auto const metrics = nlohmann::json::parse(plain.output.substr(plain.output.find('{')));
    EXPECT_EQ(metrics.dump() + cluster::read_file(path("plain")), first);
}

TEST_F(Bert, AModelOfOtherLabelsIsNotEvaluated) {
    cluster::write_file(
        path("two.jsonl"),
        "{\"text\": \"good\", \"label\": \"yes\"}\n{\"text\": \"bad\", \"label\": \"no\"}\n");
    ASSERT_EQ(run_command(trireme(0, {"prepare", "--task", "classification", "--tokenizer",
                                      kGolden + "/tokenizer", "--label", "label", "--output",
                                      path("two"), "--train", path("two.jsonl")}))
                  .exit_code,
              0);
    Outcome const result = run_command(trireme(
        0, {"evaluate", "--model", kGolden + "/bert", "--data", path("two"), "--split", "train"}));
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_NE(result.output.find("not trained for these labels"), std::string::npos)
        << result.output;
}

} // namespace
} // namespace trireme::test
