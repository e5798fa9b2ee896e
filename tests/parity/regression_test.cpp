// Regression through the command, of two real targets: from a table to an export, in any layout.
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cluster/file.hpp"
#include "tests/parity/task_command.hpp"

namespace trireme::test {
namespace {

std::string const kGolden = TRIREME_GOLDEN;

class RegressionCommand : public TaskCommand, public testing::Test {
  protected:
    void SetUp() override {
        std::string rows = "text,warmth,pace\n";
        char const* const words[] = {"the film",   "is good", "bad plot",
                                     "very great", "not",     "boring actors and"};
        for (int i = 0; i < 61; ++i) {
            for (int w = 0; w <= i % 4; ++w)
                rows += std::string(w ? " " : "") + words[(i * 7 + w * 5) % 6];
            rows += "," + std::to_string(i * 3 % 7 - 3) + ".5," + std::to_string(i % 5) + "e-1\n";
        }
        cluster::write_file(path("rows.csv"), rows);
        cluster::write_file(path("validation.csv"), rows);
        Outcome const prepared =
            prepare({path("rows.csv"), "--validation", path("validation.csv")}, "data");
        ASSERT_EQ(prepared.exit_code, 0) << prepared.output;
        write_yaml();
    }
    /// `files`: after --train.
    Outcome prepare(std::vector<std::string> const& files, std::string const& out) const {
        std::vector<std::string> words{
            "prepare",  "--task",  "regression", "--tokenizer",  kGolden + "/tokenizer",
            "--label",  "warmth",  "pace",       "--max-length", "16",
            "--output", path(out), "--train"};
        words.insert(words.end(), files.begin(), files.end());
        return run_command(trireme(0, words));
    }
    void write_yaml() const {
        cluster::write_file(
            path("run.yaml"),
            "run: " + path("run") + "\ntask: regression\nmodel:\n  path: " + kGolden +
                "/bert\ndata:\n  path: " + path("data") +
                "\nbatch:\n  global: 11\n  tokens_per_micro_batch: 20\nnumerics:\n  mode: "
                "bitwise\n  threads: 1\noptimizer:\n  learning_rate: 1e-3\ntrain:\n  "
                "steps: 12\nevaluation:\n  metric: spearman\n");
    }
};

TEST_F(RegressionCommand, HasOneHashInEveryLayoutAndExactMetrics) {
    std::string const alone = train(1, {}, "one");
    ASSERT_EQ(alone.size(), 64U);
    EXPECT_EQ(train(2, {}, "two"), alone);
    EXPECT_EQ(train(4, {"parallel.zero=3"}, "zero"), alone);
    EXPECT_EQ(train(4, {"parallel.pipeline=2", "parallel.zero=1"}, "pipeline"), alone);
    ASSERT_EQ(run_command(trireme(0, {"export", "--run", path("two"), "--output", path("model")}))
                  .exit_code,
              0);
    auto const config = nlohmann::json::parse(cluster::read_file(path("model/config.json")));
    EXPECT_EQ(config.at("problem_type"), "regression");
    EXPECT_EQ(config.at("id2label"), (nlohmann::json{{"0", "warmth"}, {"1", "pace"}}));

    auto const first = evaluate(1, {}, "p1");
    for (char const* name : {"loss", "mse", "pearson", "spearman"})
        EXPECT_TRUE(first.at(name).is_number()) << name;
    EXPECT_FALSE(first.contains("accuracy"));
    EXPECT_NEAR(first.at("loss"), first.at("mse"), 1e-6);
    for (auto const& [ranks, set] : std::vector<std::pair<int, std::vector<std::string>>>{
             {2, {}}, {4, {}}, {2, {"parallel.pipeline=2"}}}) {
        std::string const name = "p" + std::to_string(ranks) + std::to_string(set.size());
        EXPECT_EQ(evaluate(ranks, set, name), first) << name;
        EXPECT_EQ(cluster::read_file(path(name)), cluster::read_file(path("p1")));
    }
    auto const tensor = evaluate(2, {"parallel.tensor=2"}, "tensor");
    EXPECT_NEAR(tensor.at("mse"), first.at("mse"), 1e-5);

    // The file of predictions is what the metrics are of.
    std::istringstream lines(cluster::read_file(path("p1")));
    double sum = 0;
    int count = 0;
    for (std::string line; std::getline(lines, line); ++count) {
        auto const json = nlohmann::json::parse(line);
        EXPECT_EQ(json.at("trained"), 2);
        for (char const* name : {"warmth", "pace"})
            sum += std::pow(json.at("targets").at(name).get<double>() -
                                json.at("predictions").at(name).get<double>(),
                            2);
    }
    EXPECT_EQ(count, 61);
    EXPECT_NEAR(first.at("mse"), sum / 122, 1e-9);

    Outcome const verified = run_command(trireme(2, {"verify", path("model")}));
    EXPECT_EQ(verified.exit_code, 0) << verified.output;
    Outcome const generated =
        run_command(trireme(0, {"generate", path("model"), "--prompt", "the film"}));
    EXPECT_EQ(generated.exit_code, 2);
    EXPECT_NE(generated.output.find("encoder"), std::string::npos) << generated.output;
}

TEST_F(RegressionCommand, EveryLayoutComputesOneAndTheSameThing) {
    Outcome const proved = run_command(trireme(2, {"parity", path("run.yaml")}));
    EXPECT_EQ(proved.exit_code, 0) << proved.output;
    EXPECT_NE(proved.output.find("parity: passed"), std::string::npos) << proved.output;
    EXPECT_NE(proved.output.find("regressor"), std::string::npos) << proved.output;
}

TEST_F(RegressionCommand, ShowsNumbersAndNamesWhatIsNone) {
    Outcome const shown = run_command(trireme(0, {"inspect", path("data"), "--samples", "1"}));
    EXPECT_NE(shown.output.find("warmth -3.5, pace 0"), std::string::npos) << shown.output;
    auto const refused = [&](std::string const& rows, std::string const& line) {
        cluster::write_file(path("bad.csv"), rows);
        Outcome const result = prepare({path("bad.csv")}, "bad");
        EXPECT_EQ(result.exit_code, 2);
        EXPECT_NE(result.output.find(line), std::string::npos) << result.output;
    };
    refused("text,warmth,pace\nthe film,1,2\nbad,high,3\n",
            "bad.csv:3: warmth: \"high\": legal: a number that float32 holds");
    refused("text,warmth,pace\nthe film,1,1e99\n", "bad.csv:2: pace: \"1e99\": legal: a number");
    refused("text,warmth,pace\nthe film,1,nan\n", "bad.csv:2: pace: \"nan\": legal: a number");
    refused("text,warmth,pace\nthe film,1,\n",
            "bad.csv:2: pace: no label; legal: a label in each row, or --drop-unlabelled");
    Outcome const dropped = [&] {
        cluster::write_file(path("bad.csv"), "text,warmth,pace\nthe film,1,\nbad,2,3\n");
        return prepare({path("bad.csv"), "--drop-unlabelled"}, "dropped");
    }();
    EXPECT_EQ(dropped.exit_code, 0) << dropped.output;
    EXPECT_NE(dropped.output.find("1 row without a label left out"), std::string::npos)
        << dropped.output;
    Outcome const metric = run_command(trireme(
        0, {"train", path("run.yaml"), "--dry-run", "--set", "evaluation.metric=accuracy"}));
    EXPECT_EQ(metric.exit_code, 2);
    EXPECT_NE(metric.output.find("evaluation.metric: accuracy: legal: loss, mse"),
              std::string::npos)
        << metric.output;
}

} // namespace
} // namespace trireme::test
