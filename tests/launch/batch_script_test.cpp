// Job scripts, run by a real shell beside stand-ins for Slurm's commands that write down how they
// were called.
#include "launch/batch_script.hpp"

#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "tests/launch/plain_job.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tests/support/tiny_run.hpp"

namespace trireme::launch {
namespace {

namespace fs = std::filesystem;
using test::Outcome;
using test::run_command;
using Words = std::vector<std::string>;

std::string const kNasty[] = {"a b",
                              "$(touch x)",
                              "`touch x`",
                              "'; touch x; '",
                              "\"; touch x; \"",
                              "a\\",
                              "*",
                              "~",
                              "--help",
                              "$HOME",
                              "a#b",
                              "#",
                              "!!",
                              "é",
                              "a'b\"c",
                              "{x}",
                              "a;b",
                              "a&b",
                              "<x",
                              "a|b"};

/// A folder with srun, mpirun, scancel and scontrol. Each appends its name and words to `calls`, a
/// NUL after each and a newline after all.
class ScriptTest : public testing::Test {
  protected:
    ScriptTest() {
        for (char const* name : {"srun", "mpirun", "scancel", "scontrol"}) stand_in(name, "");
    }
    void stand_in(std::string const& name, std::string const& then) const {
        std::string const file = folder_.path() + "/" + name;
        cluster::write_file(
            file, "#!/bin/bash\nprintf '%s\\0' \"${0##*/}\" \"$@\" >>calls\necho >>calls\n" + then);
        fs::permissions(file, fs::perms::owner_all);
    }
    Outcome run(std::string const& script) const {
        cluster::write_file(folder_.path() + "/job", script);
        return run_command(
            {"bash", "-c",
             "cd '" + folder_.path() +
                 "' && PATH=$PWD:$PATH SLURM_JOB_ID=12 SLURM_JOB_NAME=run-1 SLURM_JOB_USER=me "
                 "SLURM_CPUS_PER_TASK=1 exec bash ./job"});
    }
    std::vector<Words> calls() const {
        std::ifstream file(folder_.path() + "/calls");
        std::vector<Words> all;
        for (std::string line; std::getline(file, line);) {
            Words& words = all.emplace_back();
            std::istringstream rest(line);
            for (std::string word; std::getline(rest, word, '\0');) words.push_back(word);
        }
        return all;
    }
    /// The commands that the job called after it ended with `code`.
    std::vector<Words> after(int code, BatchJob const& job) {
        fs::remove(folder_.path() + "/calls");
        stand_in("srun", "exit " + std::to_string(code) + "\n");
        EXPECT_EQ(run(batch_script(job, plain_site())).exit_code, code);
        auto all = calls();
        EXPECT_EQ(all.at(0).at(0), "srun");
        all.erase(all.begin());
        return all;
    }
    test::TemporaryFolder folder_;
};

Words const kRequeue{"scontrol", "requeue", "12"},
    kCancel{"scancel", "--state=PENDING", "--name=run-1", "--user=me"};

TEST_F(ScriptTest, EachWordArrivesAsItIsAndNoShellReadsIt) {
    for (std::string const& launcher : Words{"srun", "mpirun"}) {
        fs::remove(folder_.path() + "/calls");
        BatchJob job = plain_job();
        Site site = plain_site();
        job.launcher = launcher;
        job.command.insert(job.command.end(), std::begin(kNasty), std::end(kNasty));
        site.environment = {{"NASTY", kNasty[3]}};
        stand_in(launcher, "[ \"$NASTY\" = \"'; touch x; '\" ] || exit 9\n");
        Outcome const outcome = run(batch_script(job, site));
        ASSERT_EQ(outcome.exit_code, 0) << outcome.output;
        Words const seen = calls().at(0);
        ASSERT_GE(seen.size(), job.command.size());
        EXPECT_EQ(Words(seen.end() - static_cast<std::ptrdiff_t>(job.command.size()), seen.end()),
                  job.command);
        EXPECT_FALSE(fs::exists(folder_.path() + "/x"));
    }
}

TEST_F(ScriptTest, NamesAndOptionsThatNeedQuotingAreRefused) {
    for (auto const& nasty : kNasty) {
        // sbatch's own words
        if (nasty == "a&b" || nasty == "a|b" || nasty == "*" || nasty == "--help") continue;
        BatchJob job = plain_job();
        job.name = nasty;
        EXPECT_THROW(batch_script(job, plain_site()), cluster::InputError) << nasty;
        job = plain_job();
        job.sbatch = {{"account", nasty}};
        EXPECT_THROW(batch_script(job, plain_site()), cluster::InputError) << nasty;
        job.sbatch = {{nasty, "x"}};
        EXPECT_THROW(batch_script(job, plain_site()), cluster::InputError) << nasty;
    }
    for (std::string const& line : Words{"a\nb", "a\r", std::string("a\0b", 3), "\x1b[0m"}) {
        BatchJob job = plain_job();
        job.command.push_back(line);
        EXPECT_THROW(batch_script(job, plain_site()), cluster::InputError);
        job = plain_job();
        job.name = line;
        EXPECT_THROW(batch_script(job, plain_site()), cluster::InputError);
    }
}

TEST_F(ScriptTest, TheExitCodeSaysWhatHappensToTheOtherJobs) {
    BatchJob alone = plain_job(), of_chain = plain_job();
    of_chain.requeue_itself = false;
    for (int const code : {0, 2, 3}) {
        EXPECT_EQ(after(code, alone), std::vector<Words>{kCancel}) << code;
        EXPECT_EQ(after(code, of_chain), std::vector<Words>{kCancel}) << code;
    }
    for (int const code : {85, 128 + SIGUSR1}) {
        EXPECT_EQ(after(code, alone), std::vector<Words>{kRequeue}) << code;
        EXPECT_EQ(after(code, of_chain), std::vector<Words>{})
            << code << ": the next job goes on by itself";
    }
    for (int const code : {1, 84, 137}) {
        EXPECT_EQ(after(code, alone), std::vector<Words>{}) << code;
        EXPECT_EQ(after(code, of_chain), std::vector<Words>{}) << code;
    }
}

TEST_F(ScriptTest, AJobThatSlurmIsEndingDoesNotComeBack) {
    stand_in("srun", "kill -TERM $PPID\nsleep 0.1\nexit 85\n");
    EXPECT_EQ(run(batch_script(plain_job(), plain_site())).exit_code, 85);
    EXPECT_EQ(calls().size(), 1U) << "scancel sends TERM: a requeue would undo it";
}

TEST_F(ScriptTest, ASignalToTheShellReachesMpirunAndTheCodeIsThatOfTheRanks) {
    stand_in("mpirun", "trap 'echo got USR1 >>calls; exit 85' USR1\n"
                       "kill -USR1 $PPID\nfor i in {1..100}; do sleep 0.1; done\n");
    BatchJob job = plain_job();
    job.launcher = "mpirun";
    EXPECT_EQ(run(batch_script(job, plain_site())).exit_code, 85);
    auto const all = calls();
    ASSERT_EQ(all.size(), 3U);
    EXPECT_EQ(all[1], Words{"got USR1"});
    EXPECT_EQ(all[2], kRequeue);
    EXPECT_EQ(Words(all[0].begin(), all[0].begin() + 5),
              (Words{"mpirun", "-n", "2", "--map-by", "ppr:1:node:PE=1"}));
}

TEST_F(ScriptTest, ASignalThatComesBeforeMpirunIsHandedOn) {
    stand_in("module", "kill -USR1 $PPID\n");
    stand_in("mpirun", "trap 'exit 85' USR1\nfor i in {1..50}; do sleep 0.1; done\n");
    BatchJob job = plain_job();
    Site site = plain_site();
    job.launcher = "mpirun";
    site.modules = {"openmpi"};
    int const code = run(batch_script(job, site)).exit_code;
    EXPECT_TRUE(code == 85 || code == 128 + SIGUSR1) << code; // the latter: before mpirun listens
    auto const all = calls();
    EXPECT_EQ(all.front(), (Words{"module", "load", "openmpi"}));
    EXPECT_EQ(all.back(), kRequeue);
}

TEST_F(ScriptTest, TheDirectivesAreThoseAskedFor) {
    BatchJob job = plain_job();
    job.sbatch = {{"account", "me"}, {"gpus-per-node", "4"}, {"exclusive", ""}};
    std::string const script = batch_script(job, plain_site());
    for (char const* line :
         {"#SBATCH --job-name=run-1\n", "#SBATCH --nodes=2\n", "#SBATCH --ntasks-per-node=1\n",
          "#SBATCH --time=10\n", "#SBATCH --requeue --dependency=singleton\n",
          "#SBATCH --signal=USR1@180\n", "#SBATCH --account=me\n", "#SBATCH --exclusive\n",
          "# Verified on: nothing.\n", "export SRUN_CPUS_PER_TASK=1\n",
          "[ -n \"$SLURM_PMIX_FENCE\" ] || export SLURM_PMIX_FENCE=ring\n"})
        EXPECT_NE(script.find(line), std::string::npos) << line << script;
    job.launcher = "mpirun";
    EXPECT_NE(batch_script(job, plain_site()).find("#SBATCH --signal=B:USR1@180\n"),
              std::string::npos);
}

} // namespace
} // namespace trireme::launch
