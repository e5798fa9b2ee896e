// Tests what commands write, and where: outputs that are no regular files, names that are
// somebody's, streams that are closed or full, limits; and commands that mpirun starts though they
// do not divide their work.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <thread>

#include "cluster/file.hpp"
#include "tests/launch/mistakes.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tests/support/tiny_run.hpp"

namespace trireme::test {
namespace {

namespace fs = std::filesystem;

std::string const kFull =
    "No space left on device (the disk is full: see `df -h` and `df -i`; remove files there, or "
    "write to another disk)";

class Outputs : public testing::Test {
  protected:
    void SetUp() override { write_scene(dir()); }
    std::string dir() const { return folder_.path() + "/scene"; }
    std::string path(std::string const& name) const { return dir() + "/" + name; }
    /// A line of the shell in the scene, where $trireme is the command.
    Outcome shell(std::string const& line) const {
        return run_command({"bash", "-c",
                            "cd " + dir() + "; trireme=" + trireme(0, {})[0] +
                                "; mpirun=" + trireme(1, {})[0] + "; " + line});
    }
    /// Each command that writes a file which a user names, up to the name.
    static std::vector<std::string> writers() {
        return {"$trireme evaluate --model bert --data classes --split validation --predictions",
                "$trireme verify llama --tokens tokens.json --out",
                "$trireme plot --run run --output",
                "$trireme generate llama --prompts prompts.jsonl --max-new-tokens 1 --output"};
    }
    void give_inputs() const {
        write("tokens.json", R"({"input_ids": [[5, 9, 2]], "labels": [[5, 9, 2]]})")(dir());
        write("prompts.jsonl", "{\"prompt\": \"the film\"}\n")(dir());
        ASSERT_EQ(shell("$trireme train run.yaml").exit_code, 0);
    }
    TemporaryFolder folder_;
};

TEST_F(Outputs, AreTriedBeforeAnyWork) {
    give_inputs();
    fs::create_directories(path("folder.svg"));
    write("there.svg", "mine")(dir());
    for (auto const& command : writers())
        for (std::string const name : {"missing/x.svg", "folder.svg", "there.svg"}) {
            auto const before = snapshot(dir());
            Outcome const outcome = shell(command + " " + name);
            EXPECT_EQ(outcome.exit_code, 2) << command << outcome.output;
            EXPECT_EQ(std::ranges::count(outcome.output, '\n'), 1) << command << outcome.output;
            EXPECT_NE(outcome.output.find(name), std::string::npos) << command << outcome.output;
            EXPECT_EQ(snapshot(dir()), before) << command;
        }
    for (auto const& command : writers()) {
        Outcome const outcome = shell(command + " there.svg --force");
        EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
        EXPECT_NE(cluster::read_file(path("there.svg")), "mine") << command;
        write("there.svg", "mine")(dir());
    }
}

TEST_F(Outputs, PipesLinksAndDevicesStayWhatTheyAre) {
    give_inputs();
    ASSERT_EQ(mkfifo(path("pipe.svg").c_str(), 0600), 0);
    fs::create_directories(path("far"));
    fs::create_symlink("far/real.svg", path("link.svg"));
    for (auto const& command : writers()) {
        // HDF5 goes back in its file
        bool const wants_a_file = command.find("verify") != std::string::npos;
        Outcome const piped =
            shell("timeout 60 cat pipe.svg >got & " + command + " pipe.svg; code=$?; " +
                  (wants_a_file ? "kill $!" : "wait") + "; exit $code");
        EXPECT_EQ(piped.exit_code, wants_a_file ? 2 : 0) << command << piped.output;
        EXPECT_TRUE(fs::is_fifo(path("pipe.svg"))) << command;
        EXPECT_TRUE(wants_a_file || fs::file_size(path("got")) > 10) << command;
        Outcome const linked = shell(command + " link.svg");
        EXPECT_EQ(linked.exit_code, 0) << command << linked.output;
        EXPECT_TRUE(fs::is_symlink(path("link.svg"))) << command;
        EXPECT_TRUE(fs::remove(path("far/real.svg"))) << command << ": written through the link";
        if (command.find("plot") != std::string::npos) continue; // takes names of pictures alone
        Outcome const full = shell(command + " /dev/full");
        EXPECT_EQ(full.exit_code, wants_a_file ? 2 : 1) << command << full.output;
        EXPECT_TRUE(wants_a_file || full.output.ends_with("/dev/full: write: " + kFull + "\n"))
            << full.output;
        EXPECT_TRUE(fs::is_character_file("/dev/full"));
    }
}

/// --force is for results, not for what the command reads.
TEST_F(Outputs, AnInputIsNotReplaced) {
    give_inputs();
    std::vector<std::pair<std::size_t, std::string>> const inputs{
        {0, "classes/manifest.json"}, {0, "bert/model.safetensors"},
        {1, "tokens.json"},           {1, "llama/../llama/config.json"},
        {3, "prompts.jsonl"},         {3, "llama/tokenizer.json"}};
    auto const before = snapshot(dir());
    for (auto const& [writer, name] : inputs) {
        Outcome const outcome = shell(writers()[writer] + " " + name + " --force");
        EXPECT_EQ(outcome.exit_code, 2) << name;
        EXPECT_NE(outcome.output.find(name + ": is read from "), std::string::npos)
            << outcome.output;
        EXPECT_EQ(snapshot(dir()), before) << name;
    }
    write("bert/predictions.jsonl", "those of yesterday")(dir());
    EXPECT_EQ(shell(writers()[0] + " bert/predictions.jsonl --force").exit_code, 0)
        << "a result beside its model";
}

TEST_F(Outputs, TheNameOfAStreamThatIsAPipeIsWrittenTo) {
    give_inputs();
    for (std::string const name : {"/dev/stdout", "stream"}) { // the second is a link to the first
        if (name == "stream") fs::create_symlink("/dev/stdout", path(name));
        Outcome const outcome = shell(writers()[0] + " " + name + " | grep -c sample");
        EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
        EXPECT_GT(std::stoi(outcome.output), 1) << "lines and the metrics: " << outcome.output;
    }
    // Nobody waits for what reads there.
    Outcome const substituted = shell(
        writers()[3] + " >(cat >got); for i in {1..300}; do [ -s got ] && break; sleep 0.1; done; "
                       "test -s got");
    EXPECT_EQ(substituted.exit_code, 0) << substituted.output;
}

/// Nobody's names are taken for what is not whole yet.
TEST_F(Outputs, StagingNamesAreNobodys) {
    give_inputs();
    write("out.partial/notes.txt", "mine")(dir());
    write("new.svg.partial", "mine")(dir());
    EXPECT_EQ(shell("$trireme prepare --task classification --tokenizer bert --label label "
                    "--max-length 16 --train "
                    "rows.jsonl --output out")
                  .exit_code,
              0);
    for (auto const& command : writers()) {
        Outcome const outcome = shell(command + " new.svg");
        EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
        fs::remove(path("new.svg"));
    }
    EXPECT_EQ(cluster::read_file(path("out.partial/notes.txt")), "mine");
    EXPECT_EQ(cluster::read_file(path("new.svg.partial")), "mine");
    for (auto const& entry : fs::directory_iterator(dir()))
        EXPECT_EQ(entry.path().string().find(".partial-"), std::string::npos) << entry.path();
}

TEST_F(Outputs, NamesMayBeginWithADashAndNeedNotBeUtf8) {
    give_inputs();
    for (auto const& command : writers())
        for (std::string const name : {"-x.svg", "$(printf b\\\\344d.svg)"}) {
            Outcome const outcome = shell(command + "=" + name + " && rm -- " + name);
            EXPECT_EQ(outcome.exit_code, 0) << command << name << outcome.output;
        }
}

TEST_F(Outputs, WhatStandardOutputDoesNotTakeIsAnError) {
    give_inputs();
    for (std::string const command :
         {"$trireme --help", "$trireme --version", "$trireme status run",
          "$trireme completion bash", "$trireme explain-config run.yaml",
          "$trireme checkpoint list --run run", "$trireme inspect classes", "$trireme help train",
          "$trireme evaluate --model bert --data classes --split validation",
          "$trireme plot --run run --output p.svg", "$trireme train run.yaml --dry-run"}) {
        if (command.find("inspect") != std::string::npos)
            fs::copy_file(path("bert/tokenizer.json"), path("classes/tokenizer.json"));
        Outcome const full = shell(command + " >/dev/full");
        EXPECT_EQ(full.exit_code, 1) << command;
        EXPECT_EQ(full.output, "trireme: standard output: " + kFull + "\n") << command;
    }
}

/// The first files that a process opens must not become its closed streams.
TEST_F(Outputs, ClosedStreamsTakeNoFile) {
    Outcome const closed = shell("$trireme train run.yaml 0<&- >&- 2>&-");
    EXPECT_EQ(closed.exit_code, 0);
    for (auto const& line : metric_lines(path("run")))
        EXPECT_TRUE(line.starts_with('{') && line.ends_with('}')) << line;
    EXPECT_EQ(shell("$trireme checkpoint verify --run run").exit_code, 0);
    Outcome const said = shell("$trireme status run >&-");
    EXPECT_EQ(said.exit_code, 1);
    EXPECT_EQ(said.output, "trireme: standard output: Bad file descriptor\n");
}

TEST_F(Outputs, AReaderThatGoesEndsNoTraining) {
    Outcome const gone =
        shell("{ $trireme train run.yaml --set train.steps=40 2>&1; echo $? >code; } | true");
    EXPECT_EQ(gone.exit_code, 0);
    EXPECT_EQ(cluster::read_file(path("code")), "0\n");
}

/// A program that refuses its input may end before its tokenizer has loaded.
TEST_F(Outputs, ATokenizerWhoseProgramIsGoneSaysNothing) {
    EXPECT_EQ(shell("$trireme-text serve llama < /dev/null 2> said | true; cat said").output, "");
}

/// Commands that start no MPI, which under such a limit has no room for its own files.
TEST_F(Outputs, ALimitOnTheSizeOfFilesHasALine) {
    give_inputs();
    for (std::string const command :
         {"$trireme plot --run run --output", "$trireme export --run run --output",
          "$trireme prepare --task classification --tokenizer bert --label label --max-length 16 "
          "--train rows.jsonl "
          "--output"}) {
        Outcome const outcome = shell("(ulimit -f 0; " + command + " new.svg)");
        EXPECT_EQ(outcome.exit_code, 1) << command << outcome.output;
        EXPECT_NE(outcome.output.find("File too large"), std::string::npos)
            << command << outcome.output;
        EXPECT_FALSE(fs::exists(path("new.svg"))) << command;
    }
}

/// One process does the work, whatever launcher started how many.
TEST_F(Outputs, RankZeroAloneDoesWhatIsNotDivided) {
    give_inputs();
    EXPECT_EQ(shell("$trireme export --run run --output alone").exit_code, 0);
    Outcome const ranks = shell("$mpirun -n 3 $trireme export --run run --output together");
    EXPECT_EQ(ranks.exit_code, 0) << ranks.output;
    EXPECT_NE(
        ranks.output.find("note: export does not divide its work: rank 0 of 3 does it alone\n"),
        std::string::npos);
    EXPECT_EQ(ranks.output.find("exported"), ranks.output.rfind("exported ")) << ranks.output;
    EXPECT_EQ(shell("diff -r alone together").output, "");
    for (std::string const command :
         {"--help", "status run", "prepare --help", "checkpoint list --run run"}) {
        std::string const one = shell("$trireme " + command).output;
        EXPECT_EQ(shell("$mpirun -n 2 $trireme " + command + " 2>/dev/null").output, one)
            << command;
    }
    // Tasks of srun; a batch script and a shell of salloc are task 0 of no step.
    std::string const status = shell("$trireme status run").output;
    std::string const tasks = "SLURM_JOB_ID=1 SLURM_NTASKS=2 ",
                      step = "SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=2 ";
    EXPECT_EQ(shell(tasks + step + "SLURM_PROCID=1 $trireme status run").output, "");
    EXPECT_EQ(shell(tasks + step + "SLURM_PROCID=0 $trireme status run 2>/dev/null").output,
              status);
    EXPECT_EQ(shell(tasks + "SLURM_PROCID=0 $trireme status run").output, status);
    EXPECT_EQ(shell(tasks + "$trireme status run").output, status);
}

/// A user reads our line alone after a mistake.
TEST_F(Outputs, MpirunIsQuiet) {
    Outcome const outcome = shell("$mpirun -n 2 $trireme train nowhere.yaml");
    EXPECT_EQ(outcome.exit_code, 2);
    EXPECT_EQ(std::ranges::count(outcome.output, '\n'), 1) << outcome.output;
}

} // namespace
} // namespace trireme::test
