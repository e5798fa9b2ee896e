// Mistakes in run configurations, on the command line and in run folders; among several ranks; full disks.
#include <sys/mount.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/launch/mistakes.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tests/support/tiny_run.hpp"

namespace trireme::test {
namespace {

namespace fs = std::filesystem;

std::function<void(std::string const&)> yaml(std::string const& from, std::string const& to) {
    return change("run.yaml", from, to);
}

std::string aliases() {
    std::string text = "a: &a [x, x, x, x, x, x, x, x, x]\n";
    for (char c = 'b'; c < 'z'; ++c) {
        std::string const former(1, static_cast<char>(c - 1)), name(1, c);
        text += name + ": &" + name + " [*" + former + ", *" + former + ", *" + former + ", *" + former + "]\n";
    }
    return text;
}

std::vector<Mistake> const kRuns{
    {"FileMissing", {"train", "DIR/none.yaml"}, "?", {}},
    {"IsAFolder", {"train", "DIR/data"}, "?", {}},
    {"NotYaml", train(), "?", yaml("batch:\n", "batch: [\n")},
    {"NotAMapping", train(), "?", write("run.yaml", "- a\n- b\n")},
    {"Empty", train(), "?", write("run.yaml", "")},
    {"UnknownKey", train(), "?", yaml("learning_rate", "learning_rat")},
    {"UnknownSection", train(), "?", yaml("optimizer:", "optimiser:")},
    {"KeyOutsideItsSection", train(), "?", yaml("  learning_rate", "learning_rate")},
    {"SectionIsAValue", train(), "?", yaml("batch:\n  global: 4", "batch: 4")},
    {"SectionIsEmpty", train(), "?", yaml("batch:\n  global: 4", "batch:")},
    {"KeyTwice", train(), "?", yaml("threads: 1", "threads: 1\n  threads: 1")},
    {"SectionTwice", train(), "?", yaml("train:", "batch:\n  global: 4\ntrain:")},
    {"KeyIsAList", train(), "?", yaml("train:", "[a, b]: 1\ntrain:")},
    {"WrongType", train(), "?", yaml("global: 4", "global: four")},
    {"FractionForAWholeNumber", train(), "?", yaml("global: 4", "global: 4.5")},
    {"TooLargeANumber", train(), "?", yaml("global: 4", "global: 99999999999999999999")},
    {"ListForAValue", train(), "?", yaml("1e-3", "[1e-3, 1e-4]")},
    {"NoValue", train(), "?", yaml("1e-3", "")},
    {"NegativeRate", train(), "?", yaml("1e-3", "-1e-3")},
    {"ZeroRate", train(), "?", yaml("1e-3", "0")},
    {"RateIsNan", train(), "?", yaml("1e-3", ".nan")},
    {"RateIsInfinite", train(), "?", yaml("1e-3", ".inf")},
    {"NoEpochs", train({"train.steps=0", "train.epochs=0"}), "?", {}},
    {"TooFewEpochs", train({"train.steps=0", "train.epochs=0.01"}), "?", {}},
    {"NegativePatience", train({"evaluation.patience=-1"}), "?", {}},
    {"UnknownMetric", train({"evaluation.metric=rouge"}), "?", {}},
    {"MetricOfAnotherTask", train({"evaluation.metric=f1"}), "?", {}},
    {"UnknownTask", train({"task=poetry"}), "?", {}},
    {"LanguageModelingWithABert", train({"model.path=DIR/bert"}), "?", {}},
    {"DegreesDoNotMakeTheWorld", train({"parallel.replicate=3"}), "?", {}},
    {"RequiredKeyMissing", train(), "?", yaml("run: DIR/run\n", "")},
    {"SetWithoutEqualSign", train({"optimizer.clip"}), "?", {}},
    {"SetOfNothing", train({"=1"}), "?", {}},
    {"SetOfAnUnknownKey", train({"optimizer.clop=1"}), "?", {}},
    {"SetOfASection", train({"optimizer=1"}), "?", {}},
    {"SetInsideAValue", train({"seed.deep=1"}), "?", yaml("task:", "seed: 1\ntask:")},
    {"SetOfABadValue", train({"optimizer.clip=-1"}), "?", {}},
    {"AliasBomb", train(), "?", write("run.yaml", aliases())},
    {"DeepFlow", train(), "?", write("run.yaml", "a: " + std::string(100'000, '['))},
    {"DeepBlock", train(), "?",
     [](std::string const& dir) {
         std::ofstream out(dir + "/run.yaml");
         for (int i = 0; i < 20'000; ++i) out << "- ";
     }},
    {"LargeFile", train(), "?", write("run.yaml", "# " + std::string(2'000'000, 'x'))},
    {"ControlCharacters", train({"task=a\x1b[31m\nb"}), "?", {}},
    {"RunFolderBelowAFile", train({"run=DIR/rows.jsonl/run"}), "?", {}},
    {"RunFolderIsAFile", train({"run=DIR/rows.jsonl"}), "?", {}},
    {"ExportOfNoRun", {"export", "--run", "DIR/none", "--output", "DIR/out"}, "?", {}},
    {"ExportOfAFolderThatIsNoRun", {"export", "--run", "DIR/data", "--output", "DIR/out"}, "?", {}},
    {"ExportOntoSomething", {"export", "--run", "DIR/none", "--output", "DIR/data"}, "?", {}},
    {"CheckpointsOfNoRun", {"checkpoint", "list", "--run", "DIR/none"}, "?", {}},
    {"PlotOfNoRun", {"plot", "--run", "DIR/none", "--output", "DIR/a.svg"}, "?", {}},
    {"PlotOfNoSteps",
     {"plot", "--run", "DIR/run", "--output", "DIR/a.svg"},
     "?",
     write("run/metrics.jsonl", "{\"kind\": \"start\"}\n")},
    {"PlotOfSomethingElse",
     {"plot", "--run", "DIR/run", "--output", "DIR/a.svg"},
     "?",
     write("run/metrics.jsonl", "{\"kind\": \"train\", \"step\": 1}\n")},
    {"PlotOfAnotherKind", {"plot", "--run", "DIR/run", "--output", "DIR/a.png"}, "?", {}},
};
INSTANTIATE_TEST_SUITE_P(Run, Mistakes, testing::ValuesIn(kRuns), name_of);

std::vector<Mistake> const kLines{
    {"UnknownCommand", {"trian"}, "?", {}},
    {"UnknownOption", {"train", "DIR/run.yaml", "--sett", "a=1"}, "?", {}},
    {"UnknownOptionOfPrepare", {"prepare", "--imput", "DIR/rows.jsonl"}, "?", {}},
    {"OptionMissing", {"train"}, "?", {}},
    {"OptionMissingOfEvaluate", {"evaluate", "--model", "DIR/bert"}, "?", {}},
    {"OptionWithoutItsValue", {"export", "--output", "DIR/out", "--run"}, "?", {}},
    {"OptionOfPlotMissing", {"plot", "--run", "DIR/run"}, "?", {}},
    {"OptionTwice", {"export", "--run", "a", "--run", "b", "--output", "DIR/out"}, "?", {}},
    {"NotANumber", {"inspect", "DIR/data", "--first", "one"}, "?", {}},
    {"OneWordTooMany", {"train", "DIR/run.yaml", "DIR/other.yaml"}, "?", {}},
    {"UnknownAction", {"checkpoint", "lost", "--run", "DIR/run"}, "?", {}},
};
INSTANTIATE_TEST_SUITE_P(CommandLine, Mistakes, testing::ValuesIn(kLines), name_of);

class Scene : public testing::Test {
  protected:
    Scene() { write_scene(dir()); }
    std::string const& dir() const { return folder_.path(); }
    Outcome run(std::vector<std::string> arguments, int ranks = 0) const {
        for (auto& word : arguments) word = replaced(word, "DIR", dir());
        Outcome outcome = run_command(trireme(ranks, arguments));
        outcome.output = replaced(outcome.output, dir(), "DIR");
        return outcome;
    }
    TemporaryFolder folder_;
};

TEST_F(Scene, ARunFolderOfAnotherConfigurationIsLeftAsItIs) {
    ASSERT_EQ(run(train()).exit_code, 0);
    auto const before = snapshot(dir());
    Outcome const outcome = run(train({"seed=5"}));
    EXPECT_EQ(outcome.exit_code, 2);
    EXPECT_EQ(outcome.output, "?");
    Outcome const wrong = run({"export", "--run", "DIR/run", "--checkpoint", "step-9", "--output", "DIR/out"});
    EXPECT_EQ(wrong.exit_code, 2);
    EXPECT_EQ(wrong.output, "?");
    EXPECT_EQ(snapshot(dir()), before);
}

TEST_F(Scene, ADamagedCheckpointIsNamedAndNothingBeginsAgain) {
    ASSERT_EQ(run(train()).exit_code, 0);
    for (auto const& entry : fs::directory_iterator(dir() + "/run/checkpoints"))
        fs::resize_file(entry.path() / "rank-00000.h5", 100);
    auto const before = snapshot(dir());
    Outcome const outcome = run(train());
    EXPECT_EQ(outcome.exit_code, 2);
    EXPECT_EQ(outcome.output, "?");
    EXPECT_EQ(snapshot(dir()), before);
}

/// mpirun adds a banner of its own; our line comes before it, and once.
TEST_F(Scene, OfSeveralRanksOneSpeaks) {
    header([](nlohmann::ordered_json& h) { h["model.norm.weight"]["shape"] = {4, 6}; })(dir());
    auto const before = snapshot(dir());
    for (auto const& [arguments, line] : std::vector<std::pair<std::vector<std::string>, std::string>>{
             {{"trian"}, "?"},
             {train({"seed=x"}), "?"},
             {train({"parallel.replicate=3"}), "?"},
             {train(), "?"},
             {{"evaluate", "--model", "DIR/bert", "--data", "DIR/nowhere"}, "?"}}) {
        Outcome const outcome = run(arguments, 2);
        EXPECT_EQ(outcome.exit_code, 2);
        std::string const first = outcome.output.substr(0, outcome.output.find('\n'));
        // rank 0@HOST: before the line, once MPI runs.
        EXPECT_TRUE(first == "trireme: " + line ||
                    (first.starts_with("trireme: rank 0@") && first.ends_with(": " + line)))
            << outcome.output;
        EXPECT_EQ(outcome.output.find("trireme: ", 1), std::string::npos) << outcome.output;
        EXPECT_EQ(snapshot(dir()), before);
    }
}

/// A file system of its own, of a few kilobytes.
class FullDisk : public Scene {
  protected:
    void SetUp() override {
        fs::create_directories(disk());
        if (mount("tmpfs", disk().c_str(), "tmpfs", 0, "size=64k") != 0)
            GTEST_SKIP() << "mounting a small file system takes root";
        mounted_ = true;
    }
    void TearDown() override {
        if (mounted_) umount(disk().c_str());
    }
    std::string disk() const { return dir() + "/disk"; }
    void resize(char const* size) const {
        ASSERT_EQ(mount("tmpfs", disk().c_str(), "tmpfs", MS_REMOUNT, (std::string("size=") + size).c_str()), 0);
    }
    static std::string last_line(std::string const& text) {
        std::string const body = text.substr(0, text.find_last_not_of('\n') + 1);
        return body.substr(body.rfind('\n') + 1);
    }
    bool mounted_ = false;
};

TEST_F(FullDisk, PrepareLeavesNothing) {
    std::string rows;
    for (int i = 0; i < 4000; ++i)
        rows += "{\"text\": \"the film is good\", \"label\": \"" + std::to_string(i % 2) + "\"}\n";
    write("many.jsonl", rows)(dir());
    auto arguments = prepare("many.jsonl");
    arguments[6] = "DIR/disk/out";
    Outcome const outcome = run(arguments);
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_EQ(outcome.output, "?");
    EXPECT_EQ(snapshot(disk()), std::vector<std::string>{});
}

TEST_F(FullDisk, AnOldCheckpointStaysValid) {
    resize("400k"); // one checkpoint and a half
    Outcome const outcome = run(train(
        {"run=DIR/disk/run", "train.steps=4", "checkpoint.every=1", "evaluation.every=9", "checkpoint.keep_last=9"}));
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_EQ(last_line(outcome.output), "?");
    Outcome const verified = run({"checkpoint", "verify", "--run", "DIR/disk/run"});
    EXPECT_EQ(verified.exit_code, 0) << verified.output;
    EXPECT_NE(verified.output.find("step-000000001  step 1"), std::string::npos) << verified.output;
    for (auto const& entry : fs::recursive_directory_iterator(disk()))
        EXPECT_EQ(entry.path().string().find(".partial"), std::string::npos) << entry.path();
}

TEST_F(FullDisk, ExportLeavesNothing) {
    ASSERT_EQ(run(train()).exit_code, 0);
    resize("32k");
    Outcome const outcome = run({"export", "--run", "DIR/run", "--output", "DIR/disk/out"});
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_EQ(outcome.output, "?");
    EXPECT_EQ(snapshot(disk()), std::vector<std::string>{});
}

} // namespace
} // namespace trireme::test
