// The commands as a user runs them.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "cluster/file.hpp"
#include "data/loader.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tests/support/tiny_run.hpp"

namespace trireme::test {
namespace {

std::string const kTokenizer = std::string(TRIREME_GOLDEN) + "/tokenizer";

constexpr char const* kRows = R"({"text": "the film is good", "label": "yes"}
{"text": "THE FILM is good", "label": "yes"}
{"text": "a very bad plot", "label": "no"}

{"text": "not a great film", "label": "no"}
{"text": "great actors", "label": "yes"}
)";

class Prepare : public testing::Test {
  protected:
    std::string file(std::string const& name, std::string const& text) const {
        std::string path = folder_.path() + "/" + name;
        cluster::write_file(path, text);
        return path;
    }
    std::string out(char const* name = "out") const { return folder_.path() + "/" + name; }
    Outcome prepare(std::vector<std::string> more, char const* name = "out") const {
        std::vector<std::string> all{"prepare", "--tokenizer", kTokenizer, "--output", out(name)};
        all.insert(all.end(), more.begin(), more.end());
        return run_command(trireme(0, all));
    }
    TemporaryFolder folder_;
};

TEST_F(Prepare, TwoRunsGiveTheSameBytes) {
    std::string const rows = file("rows.jsonl", kRows);
    std::vector<std::string> const arguments{"--task", "classification", "--train", rows, "--label", "label"};
    ASSERT_EQ(prepare(arguments, "a").exit_code, 0);
    std::this_thread::sleep_for(std::chrono::milliseconds(1200));
    ASSERT_EQ(prepare(arguments, "b").exit_code, 0);
    for (std::string const name : {"manifest.json", "train-00000.h5"})
        EXPECT_EQ(cluster::read_file(out("a") + "/" + name), cluster::read_file(out("b") + "/" + name)) << name;
}

TEST_F(Prepare, CsvTsvAndJsonlGiveTheSameSamples) {
    std::string const json = file("rows.jsonl", R"({"text": "good, very good", "label": 1})"
                                                "\n"
                                                R"({"text": "a \"bad\" film", "label": 0})"
                                                "\n");
    std::string const csv = file("rows.csv", "label,text\n1,\"good, very good\"\n0,\"a \"\"bad\"\" film\"\n");
    std::string const tsv = file("rows.tsv", "text\tlabel\ngood, very good\t1\n\"a \"\"bad\"\" film\"\t0\n");
    for (auto const& [name, path] : {std::pair{"j", json}, {"c", csv}, {"t", tsv}}) {
        auto const result = prepare({"--task", "classification", "--train", path, "--label", "label"}, name);
        ASSERT_EQ(result.exit_code, 0) << result.output;
    }
    EXPECT_EQ(cluster::read_file(out("j") + "/train-00000.h5"), cluster::read_file(out("c") + "/train-00000.h5"));
    EXPECT_EQ(cluster::read_file(out("j") + "/train-00000.h5"), cluster::read_file(out("t") + "/train-00000.h5"));
    EXPECT_EQ(data::open_dataset(out("j"), "train")->label_names(), (std::vector<std::string>{"0", "1"}));
}

TEST_F(Prepare, TokensAreThoseOfTheTokenizerWithoutItsPadding) {
    std::string const rows = file("rows.jsonl", kRows);
    ASSERT_EQ(prepare({"--task", "classification", "--train", rows, "--label", "label"}).exit_code, 0);
    auto const slot = data::open_dataset(out(), "train")->read({0}, 1);
    EXPECT_EQ(slot.tokens, (std::vector<std::int32_t>{2, 4, 5, 6, 7, 3}));
    EXPECT_EQ(slot.sample_labels, (std::vector<std::int32_t>{1})) << "no, yes: alphabetical";
}

TEST_F(Prepare, PairsHaveSegments) {
    std::string const rows = file("rows.jsonl", R"({"text": "good film", "other": "bad", "label": "a"})"
                                                "\n"
                                                R"({"text": "a", "other": "the", "label": "b"})"
                                                "\n");
    ASSERT_EQ(prepare({"--task", "classification", "--train", rows, "--label", "label", "--pair", "other"}).exit_code,
              0);
    auto const slot = data::open_dataset(out(), "train")->read({0}, 1);
    EXPECT_EQ(slot.tokens, (std::vector<std::int32_t>{2, 7, 5, 3, 8, 3}));
    EXPECT_EQ(slot.segments, (std::vector<std::int32_t>{0, 0, 0, 0, 1, 1}));
}

TEST_F(Prepare, LanguageModelingDividesLongTextsAndKeepsEveryLabel) {
    std::string const rows = file("rows.jsonl", R"({"text": "the film is good bad very not a great"})"
                                                "\n");
    ASSERT_EQ(prepare({"--task", "language-modeling", "--train", rows, "--max-length", "4"}).exit_code, 0);
    auto const set = data::open_dataset(out(), "train");
    ASSERT_EQ(set->size(), 3);
    auto const slot = set->read({0, 1, 2}, 1);
    EXPECT_EQ(slot.tokens, (std::vector<std::int32_t>{2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 3}));
    EXPECT_EQ(slot.token_labels, (std::vector<std::int32_t>{4, 5, 6, 7, 8, 9, 10, 11, 12, 3, -100}))
        << "also across the edge of a window";
}

TEST_F(Prepare, NoTextIsInTwoSplits) {
    std::string text;
    for (int i = 0; i < 400; ++i)
        text += R"({"text": ")" + std::string(i % 2 ? "Film " : "FILM ") + std::to_string(i / 2) + R"(", "label": ")" +
                std::string(i % 3 ? "a" : "b") + "\"}\n";
    ASSERT_EQ(prepare({"--task", "classification", "--input", file("rows.jsonl", text), "--label", "label"}).exit_code,
              0);
    auto const manifest = nlohmann::json::parse(cluster::read_file(out() + "/manifest.json"));
    std::int64_t samples = 0;
    for (auto const& [name, split] : manifest.at("splits").items()) {
        EXPECT_EQ(split.at("samples").get<int>() % 2, 0) << name << ": both spellings of a text belong together";
        samples += split.at("samples").get<std::int64_t>();
    }
    EXPECT_EQ(samples, 400);
    EXPECT_NEAR(manifest.at("splits").at("test").at("samples").get<double>(), 40, 30);
}

TEST_F(Prepare, MistakesAreNamedAndNothingIsWritten) {
    struct Case {
        std::string rows, part;
    };
    std::string const start = R"({"text": "a", "label": "x"})"
                              "\n";
    for (auto const& [rows, part] : std::vector<Case>{
             {start + "{\"text\": \n", "rows.jsonl:2: not JSON"},
             {start + "{\"text\": \"\xff\", \"label\": \"y\"}\n", "rows.jsonl:2: not JSON"},
             {start + R"({"txt": "a", "label": "y"})", "rows.jsonl:2: no field \"text\"; the line has: label, txt"},
             {start + R"({"text": 3, "label": "y"})", "rows.jsonl:2: text: 3: legal: a string"},
             {start, "one label only (x)"},
             {"\n", "no row with text"}}) {
        Outcome const result =
            prepare({"--task", "classification", "--train", file("rows.jsonl", rows), "--label", "label"});
        EXPECT_EQ(result.exit_code, 2) << result.output;
        EXPECT_NE(result.output.find(part), std::string::npos) << result.output;
        EXPECT_FALSE(std::filesystem::exists(out())) << part;
    }
    std::string const train = file("t.jsonl", start + R"({"text": "b", "label": "y"})"),
                      test = file("v.jsonl", R"({"text": "b", "label": "z"})");
    EXPECT_NE(prepare({"--task", "classification", "--train", train, "--test", test, "--label", "label"})
                  .output.find("label \"z\" occurs in 1 rows of test"),
              std::string::npos);
    EXPECT_NE(prepare({"--task", "classification", "--train", "none.txt", "--label", "label"})
                  .output.find("legal: .jsonl, .csv, .tsv"),
              std::string::npos);
    EXPECT_NE(prepare({"--task", "poetry", "--train", train})
                  .output.find("--task: poetry: legal: classification, language-modeling, generation"),
              std::string::npos);
}

TEST_F(Prepare, InspectShowsTokensAndLabels) {
    ASSERT_EQ(prepare({"--task", "classification", "--train", file("rows.jsonl", kRows), "--label", "label"}).exit_code,
              0);
    Outcome const plain = run_command(trireme(0, {"inspect", out(), "--samples", "1"}));
    EXPECT_EQ(plain.output, "train 0  6 tokens  label yes\n  [CLS]|the|film|is|good|[SEP]\n");
    Outcome const coloured = run_command(trireme(0, {"inspect", out(), "--samples", "1", "--color", "always"}));
    EXPECT_NE(coloured.output.find("\x1b[48;2;"), std::string::npos);
}

TEST(Train, RefusesWhatDoesNotFitTogether) {
    TemporaryFolder const folder;
    std::string const yaml = write_tiny_run(folder.path());
    struct Case {
        std::string set, part;
    };
    for (auto const& [set, part] :
         std::vector<Case>{{"task=classification", "were prepared for language-modeling"},
                           {"batch.global=500", "has only 53 training samples"},
                           {"data.train=training", "no split \"training\"; legal: train, validation"},
                           {"model.path=nowhere", "nowhere/config.json: cannot be read"},
                           {"parallel.tensor=2", "tensor"},
                           {"model.from_scratch=false", "no weights; legal: model.safetensors"}}) {
        Outcome const result = run_command(trireme(0, {"train", yaml, "--set", set}));
        EXPECT_EQ(result.exit_code, 2) << result.output;
        EXPECT_NE(result.output.find(part), std::string::npos) << result.output;
    }
}

TEST(Train, StopsEarlyWhenPatienceRunsOutAndExportsTheBest) {
    TemporaryFolder const folder;
    std::string const yaml = write_tiny_run(folder.path()), run = folder.path() + "/run";
    // A rate at which the loss falls at first and rises soon.
    Outcome const result =
        run_command(trireme(2, {"train", yaml, "--set", "optimizer.learning_rate=0.2", "--set", "evaluation.every=2",
                                "--set", "evaluation.patience=2", "--set", "optimizer.schedule=constant"}));
    ASSERT_EQ(result.exit_code, 0) << result.output;
    std::vector<std::pair<double, std::int64_t>> losses;
    std::int64_t last = 0;
    for (auto const& line : metric_lines(run)) {
        auto const event = nlohmann::json::parse(line);
        if (event["kind"] == "evaluation") losses.push_back({event["loss"], event["step"]});
        if (event["kind"] == "train") last = event["step"];
    }
    ASSERT_GE(losses.size(), 3U);
    auto const best = std::ranges::min(losses);
    EXPECT_LT(last, 40) << "it ran to the end";
    EXPECT_EQ(last, best.second + 4) << "two evaluations without improvement, two steps apart";
    Outcome const exported = run_command(trireme(0, {"export", "--run", run, "--output", folder.path() + "/out"}));
    EXPECT_NE(exported.output.find("exported step-00000000" + std::to_string(best.second)), std::string::npos)
        << exported.output;
}

TEST(Train, RefusesTasksOfSlurmThatMpiDoesNotSee) {
    TemporaryFolder const folder;
    std::vector<std::string> command{"env", "SLURM_NTASKS=4", "SLURM_PROCID=2"};
    for (auto const& word : trireme(0, {"train", write_tiny_run(folder.path())})) command.push_back(word);
    Outcome const result = run_command(command);
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_NE(result.output.find("SLURM_NTASKS is 4 but MPI sees a world of 1 on task 2"), std::string::npos)
        << result.output;
}

TEST(Train, HasNoPythonInIt) {
    Outcome const libraries = run_command({"ldd", trireme(0, {})[0]});
    ASSERT_NE(libraries.output.find("libtorch_cpu"), std::string::npos);
    EXPECT_EQ(libraries.output.find("libpython"), std::string::npos);
}

} // namespace
} // namespace trireme::test
