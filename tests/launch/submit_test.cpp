// `trireme submit` as a user runs it, beside a stand-in for sbatch.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "cluster/file.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tests/support/tiny_run.hpp"

namespace trireme::test {
namespace {

namespace fs = std::filesystem;

class Submit : public testing::Test {
  protected:
    Submit() : yaml_(write_tiny_run(folder_.path())) {}
    /// trireme submit of the tiny run, with nothing but the stand-in in the path.
    Outcome submit(std::vector<std::string> const& more) const {
        std::vector<std::string> command{"env", "PATH=" + folder_.path()};
        for (auto const& word : trireme(
                 0, {"submit", yaml_, "--site", "generic", "--nodes", "2", "--cpus-per-task", "1"}))
            command.push_back(word);
        command.insert(command.end(), more.begin(), more.end());
        return run_command(command);
    }
    /// Keeps each script, and fails at call `fails_at`.
    void stand_in(int fails_at) const {
        std::string const file = folder_.path() + "/sbatch";
        cluster::write_file(
            file, "#!/bin/bash\nPATH=/usr/bin:/bin\ncd '" + folder_.path() +
                      "'\nn=$(( $(ls -d script.* 2>/dev/null | wc -l) + 1 ))\n[ $n != " +
                      std::to_string(fails_at) +
                      " ] || { echo 'sbatch: error: Invalid account' >&2; exit 1; }\n"
                      "[ $1 = --parsable ] && cp \"$2\" script.$n && echo $((100 + n))\n");
        fs::permissions(file, fs::perms::owner_all);
    }
    std::string script(int n) const {
        return cluster::read_file(folder_.path() + "/script." + std::to_string(n));
    }

    TemporaryFolder folder_;
    std::string yaml_;
};

std::vector<std::string> const kFits{"--time", "10", "--tasks-per-node", "2"};

std::vector<std::string> with(std::vector<std::string> words,
                              std::vector<std::string> const& more) {
    words.insert(words.end(), more.begin(), more.end());
    return words;
}

TEST_F(Submit, HandsOverWhatItShowsOnceForEachJobOfAChain) {
    stand_in(-1);
    auto const chain = with(kFits, {"--chain", "3"});
    Outcome const shown = submit(with(chain, {"--print"}));
    ASSERT_EQ(shown.exit_code, 0) << shown.output;
    EXPECT_FALSE(fs::exists(folder_.path() + "/script.1"));
    Outcome const outcome = submit(chain);
    ASSERT_EQ(outcome.exit_code, 0) << outcome.output;
    EXPECT_TRUE(outcome.output.starts_with("submitted as run-")) << outcome.output;
    EXPECT_TRUE(outcome.output.ends_with(": 101, 102, 103\n")) << outcome.output;
    for (int i = 1; i <= 3; ++i) EXPECT_EQ(script(i), shown.output);
    EXPECT_FALSE(fs::exists(folder_.path() + "/script.4"));
}

TEST_F(Submit, ARefusalOfSbatchSaysWhatIsInTheQueueAlready) {
    stand_in(3);
    Outcome const outcome = submit(with(kFits, {"--chain", "4"}));
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_EQ(outcome.output,
              "sbatch: error: Invalid account\n"
              "trireme: sbatch refused the job, see above; submitted before it: 101, 102\n");
}

TEST_F(Submit, AMistakeIsFoundBeforeAnythingIsSubmitted) {
    stand_in(-1);
    for (auto const& [words, line] : std::vector<std::pair<std::vector<std::string>, std::string>>{
             {{"--time", "10"},
              "--tasks-per-node: missing; the site generic says none; legal: a whole number >= 1"},
             {with(kFits, {"--set", "parallel.tensor=3"}),
              "parallel: pipeline 1 x replicate 1 x shard 1 x context 1 x tensor 3 = 3 does not "
              "divide the 4 ranks"},
             {{"--time", "10", "--tasks-per-node", "4", "--set", "parallel.pipeline=8"},
              "parallel: pipeline 8 x virtual_stages 1 = 8 parts, but the model has 4 layers"},
             {{"--time", "25h", "--tasks-per-node", "2"},
              "--time: 25h: legal: MINUTES, H:MM:SS or D-HH:MM:SS, more than 0"},
             {with(kFits, {"--lead", "301"}), "--lead: 301: legal: 1 to 300 s, half of --time 10"},
             {with(kFits, {"--chain", "0"}), "--chain: 0: legal: 1 to 100"},
             {with(kFits, {"--launcher", "mpiexec"}), "--launcher: mpiexec: legal: srun, mpirun"},
             {with(kFits, {"--name", "a b"}),
              "--name: a b: legal: 1 to 100 letters, digits and _ . -, not - first"},
             {with(kFits, {"--sbatch", "nodes=3"}),
              "--sbatch: --nodes is set by trireme submit itself"},
             {with(kFits, {"--set", "data.path=none"}), "none/manifest.json: no such file"}}) {
        Outcome const outcome = submit(words);
        EXPECT_EQ(outcome.exit_code, 2) << outcome.output;
        EXPECT_TRUE(outcome.output.starts_with("trireme: " + line))
            << outcome.output << "\nexpected " << line;
        EXPECT_EQ(std::ranges::count(outcome.output, '\n'), 1) << outcome.output;
    }
    EXPECT_FALSE(fs::exists(folder_.path() + "/script.1"));
}

TEST_F(Submit, WeightsThatADryRunRefusesAreNotSubmitted) {
    stand_in(-1);
    cluster::write_file(folder_.path() + "/model/model.safetensors", "no weights");
    std::vector<std::string> const set{"--set", "model.from_scratch=false"};
    Outcome const dry =
        run_command(trireme(0, with({"train", yaml_, "--dry-run", "--ranks", "4"}, set)));
    EXPECT_EQ(dry.exit_code, 2) << dry.output;
    EXPECT_NE(dry.output.find("model.safetensors"), std::string::npos) << dry.output;
    Outcome const outcome = submit(with(kFits, set));
    EXPECT_EQ(outcome.exit_code, 2) << outcome.output;
    EXPECT_EQ(outcome.output, dry.output.substr(dry.output.find("trireme: ")));
    EXPECT_FALSE(fs::exists(folder_.path() + "/script.1"));
}

TEST_F(Submit, WithoutSbatchItSaysSoAndAScriptForElsewhereCanBeShown) {
    Outcome const none = submit(kFits);
    EXPECT_EQ(none.exit_code, 2) << none.output;
    EXPECT_NE(none.output.find("sbatch is not there"), std::string::npos) << none.output;
    Outcome const shown = submit(with(kFits, {"--print", "--set", "data.path=/scratch/elsewhere"}));
    EXPECT_EQ(shown.exit_code, 0) << shown.output;
    EXPECT_TRUE(
        shown.output.starts_with("note: model and data were not looked at: /scratch/elsewhere"))
        << shown.output;
}

} // namespace
} // namespace trireme::test
