// Job scripts, run by a real shell beside stand-ins for Slurm's commands that write down how they
// were called.
#include "launch/batch_script.hpp"

#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
#include <string_view>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
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

Site plain_site() {
    return {.name = "test", .source = "a test", .verified_on = "nothing"};
}
BatchJob plain_job() {
    return {.name = "run-1",
            .nodes = 2,
            .time = "10",
            .launcher = "srun",
            .command = {"trireme", "train", "c.yaml"}};
}

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
          "# Verified on: nothing.\n", "export SRUN_CPUS_PER_TASK=1\n"})
        EXPECT_NE(script.find(line), std::string::npos) << line << script;
    job.launcher = "mpirun";
    EXPECT_NE(batch_script(job, plain_site()).find("#SBATCH --signal=B:USR1@180\n"),
              std::string::npos);
}

TEST(Times, AreSlurms) {
    EXPECT_EQ(seconds_of("--time", "90"), 5400);
    EXPECT_EQ(seconds_of("--time", "12:00:00"), 43200);
    EXPECT_EQ(seconds_of("--time", "2-01:00:30"), 176430);
    for (char const* bad :
         {"",           "0",        "1:60:00",    "25h",     "-5",          "1:2",
          "12:00",      "1-2",      "0:00:00",    "10 ",     "99999999999", "+5",
          "1234567",    "1:5:00",   "1:00:00:00", "1:00:60", "-1:00:00",    "1--2:00:00",
          "1234:00:00", "1:00:00 ", "1-:00:00",   "1:-1:00"})
        EXPECT_THROW(seconds_of("--time", bad), cluster::InputError) << bad;
}

TEST(Sites, EachThatIsShippedMakesAScriptThatAShellReads) {
    int sites = 0;
    test::TemporaryFolder const folder;
    for (auto const& entry : fs::directory_iterator(TRIREME_SITES)) {
        Site const site = read_site(entry.path().stem(), TRIREME_SITES);
        for (std::string const& launcher : Words{"srun", "mpirun"}) {
            BatchJob job = plain_job();
            job.launcher = launcher;
            job.sbatch = site.sbatch;
            std::string const script = batch_script(job, site),
                              file = folder.path() + "/" + site.name;
            EXPECT_EQ(script.find('{'), std::string::npos)
                << "a name of the template is left over\n"
                << script;
            cluster::write_file(file, script);
            Outcome const outcome = run_command({"bash", "-n", file});
            EXPECT_EQ(outcome.output, "") << site.name;
        }
        ++sites;
    }
    EXPECT_GE(sites, 10);
}

/// Bytes of every kind, those that mean something to a shell more often.
std::string some_text(std::mt19937& random) {
    constexpr std::string_view kLikely = " '\"$`\\\n;#&|<>(){}*?!~=-\t\r";
    std::string text;
    for (int n = static_cast<int>(random() % 12); n >= 0; --n)
        text += random() % 2 ? kLikely[random() % kLikely.size()]
                             : static_cast<char>(1 + random() % 255);
    return text;
}

TEST(Sites, AnyBytesAreOneWordOfTheScriptOrRefused) {
    test::TemporaryFolder const folder;
    std::mt19937 random(7);
    int shown = 0, refused = 0;
    for (int i = 0; i < 400; ++i) {
        std::string const text = some_text(random);
        Site site{.name = "x", .source = "a test", .verified_on = "nothing", .launcher = "srun"};
        BatchJob job;
        job.name = "x";
        job.time = "60";
        job.nodes = job.tasks_per_node = job.cpus_per_task = 1;
        job.launcher = "srun";
        job.lead = 60;
        job.command = {"printf", "%s", text};
        switch (i % 3) {
        case 0: site.environment = {{"A", text}}; break;
        case 1: site.srun = {text}; break;
        default: break;
        }
        std::string script;
        try {
            check_word("word", text); // as the reader of a site's file does
            script = batch_script(job, site);
        } catch (cluster::InputError const&) {
            ++refused;
            continue;
        }
        ++shown;
        std::string const file = folder.path() + "/script";
        cluster::write_file(file, script);
        ASSERT_EQ(run_command({"bash", "-n", file}).output, "") << script;
        cluster::write_file(file, "printf %s " + shell_word(text));
        EXPECT_EQ(run_command({"bash", file}).output, text) << shell_word(text);
    }
    EXPECT_GT(shown, 50);
    EXPECT_GT(refused, 50);
}

TEST(Sites, LongValuesEndNoProgram) {
    test::TemporaryFolder const folder;
    std::string const file = folder.path() + "/s.yaml", letters(100'000, 'a');
    cluster::write_file(file, "source: x\nverified_on: nothing\nenvironment: {A: " + letters +
                                  "}\nsbatch: {account: " + letters + "}\n");
    EXPECT_EQ(read_site(file, "").environment.at(0).second.size(), letters.size());
    EXPECT_EQ(shell_word(letters), letters);
    EXPECT_THROW(seconds_of("--time", letters), cluster::InputError);
    EXPECT_THROW(read_site("x\ntouch y #.yaml", ""), cluster::InputError);
}

TEST(Sites, AMistakeHasOneLineThatSaysWhere) {
    test::TemporaryFolder const folder;
    std::string const file = folder.path() + "/s.yaml", head = "source: x\nverified_on: nothing\n";
    for (auto const& [text, line] : std::vector<std::pair<std::string, std::string>>{
             {head + "tasks: 4\n",
              "FILE:3: unknown key tasks; legal: cpus_per_task, environment, launcher, lead, "
              "modules, "
              "most_minutes, mpirun, sbatch, source, srun, tasks_per_node, verified_on"},
             {"source: x\n", "FILE: verified_on: missing; legal: a text"},
             {head + "lead: 1\nlead: 2\n", "FILE:4: lead is given twice"},
             {head + "tasks_per_node: four\n",
              "FILE:3: tasks_per_node: four: legal: a whole number >= 1"},
             {head + "launcher: aprun\n", "FILE:3: launcher: aprun: legal: srun, mpirun"},
             {head + "srun: --mpi=pmix\n", "FILE:3: srun: --mpi=pmix: legal: a list of words"},
             {head + "sbatch:\n  time: 5\n",
              "FILE:4: sbatch.time: --time is set by trireme submit itself"},
             {head + "sbatch:\n  tim: 5\n",
              "FILE:4: sbatch.tim: --tim may stand for --time, set by trireme submit itself"},
             {head + "sbatch:\n  comment: a b\n", "FILE:4: sbatch.comment: a b: legal: letters, "
                                                  "digits and _ . , : = + * / @ % ^ & | ( ) [ ] -"},
             {head + "environment:\n  A B: 1\n",
              "FILE:4: environment: A B: legal: the name of a variable"},
             {head + "environment:\n  A: 1\n  A: 2\n", "FILE:5: environment.A is given twice"},
             {head + "modules: ['a; touch x']\n",
              "FILE:3: modules: a; touch x: legal: a module's name"},
             {head + "environment:\n  A: \"a\\nb\"\n",
              "FILE:4: environment.A: a\nb: legal: no control characters"},
             {"- a\n", "FILE: legal: a mapping of keys to values"}}) {
        cluster::write_file(file, text);
        try {
            read_site(file, "");
            ADD_FAILURE() << text;
        } catch (cluster::InputError const& error) {
            std::string said = error.what();
            EXPECT_EQ(said.replace(0, file.size(), "FILE"), line);
        }
    }
}

} // namespace
} // namespace trireme::launch
