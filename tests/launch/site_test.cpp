// Files of sites, and times as Slurm writes them.
#include "launch/batch_script.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <random>
#include <string_view>

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
        BatchJob const job{.name = "x",
                           .time = "60",
                           .launcher = "srun",
                           .lead = 60,
                           .command = {"printf", "%s", text}};
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
