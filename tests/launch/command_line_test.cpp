// Help, completion, doctor and the views of a configuration, as a user runs them.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <regex>
#include <sstream>

#include "cluster/file.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tests/support/tiny_run.hpp"

namespace trireme::test {
namespace {

namespace fs = std::filesystem;

bool has(std::string const& text, std::string const& part) {
    return text.find(part) != std::string::npos;
}

std::vector<std::string> commands() {
    std::istringstream text(run_command(trireme(0, {"--help"})).output);
    std::vector<std::string> names;
    std::regex const entry("  ([a-z][a-z-]*) .*");
    std::smatch match;
    for (std::string line; std::getline(text, line) && line != "Options:";)
        if (std::regex_match(line, match, entry)) names.push_back(match[1]);
    return names;
}

/// Every file below a folder, with its size.
std::vector<std::string> content(std::string const& folder) {
    std::vector<std::string> names;
    for (auto const& entry : fs::recursive_directory_iterator(folder))
        names.push_back(entry.path().string() +
                        (entry.is_regular_file() ? " " + std::to_string(entry.file_size()) : ""));
    std::ranges::sort(names);
    return names;
}

TEST(Help, EveryCommandShowsUsageOptionsAndAnExample) {
    auto const names = commands();
    ASSERT_GE(names.size(), 10U);
    for (auto const& name : names) {
        Outcome const help = run_command(trireme(0, {"help", name}));
        EXPECT_EQ(help.exit_code, 0) << name << help.output;
        EXPECT_TRUE(help.output.starts_with(name == "help" ? "Usage: trireme COMMAND"
                                                           : "Usage: trireme " + name))
            << help.output;
        EXPECT_TRUE(has(help.output, "\nOptions:\n")) << help.output;
        EXPECT_TRUE(has(help.output, "\nExamples:\n  ")) << help.output;
        EXPECT_TRUE(has(help.output, "\nExit status:\n")) << help.output;
        EXPECT_FALSE(has(help.output, " arg"))
            << name << ": an option without a name for its value\n"
            << help.output;
        EXPECT_EQ(run_command(trireme(0, {name, "--help"})).output, help.output);
    }
}

TEST(Help, VersionNamesTheLibraries) {
    Outcome const version = run_command(trireme(0, {"--version"}));
    EXPECT_EQ(version.exit_code, 0);
    EXPECT_TRUE(std::regex_search(version.output, std::regex("^trireme \\d+\\.\\d+\\.\\d+\n")))
        << version.output;
    for (auto const* library : {"libtorch 2.", "HDF5 1.", "yaml-cpp 0.", "build: "})
        EXPECT_TRUE(has(version.output, library)) << version.output;
}

TEST(Help, TheReferenceIsUpToDate) {
    Outcome const check = run_command(
        {TRIREME_PYTHON, TRIREME_SOURCE "/docs/command_line.py", trireme(0, {})[0], "--check"});
    EXPECT_EQ(check.exit_code, 0) << check.output;
}

/// Paths of this project's own folders that a text names.
std::vector<std::string> named_paths(std::string const& text) {
    std::vector<std::string> paths;
    std::regex const path(
        "(^|[\\s`(\"])((configs|docs|launch|tests|bench|cmake)/[A-Za-z0-9_./-]*[A-Za-z0-9_])");
    for (std::sregex_iterator match(text.begin(), text.end(), path), end; match != end; ++match)
        // Recipes write NAME for what a reader chooses.
        if (match->str(2).find("NAME") == std::string::npos) paths.push_back((*match)[2]);
    return paths;
}

TEST(Help, FilesThatItNamesExist) {
    std::vector<std::string> texts; // docs/command-line.md is what every command's --help says
    for (auto const* page : {"README.md", "CONTRIBUTING.md"})
        texts.push_back(cluster::read_file(std::string(TRIREME_SOURCE "/") + page));
    for (auto const& page : fs::directory_iterator(TRIREME_SOURCE "/docs"))
        if (page.path().extension() == ".md") texts.push_back(cluster::read_file(page.path()));
    std::size_t found = 0;
    for (auto const& text : texts)
        for (auto const& path : named_paths(text)) {
            ++found;
            EXPECT_TRUE(fs::exists(TRIREME_SOURCE "/" + path)) << path << " is named in\n"
                                                               << text.substr(0, 80);
        }
    EXPECT_GT(found, 20U);
}

/// Returns what bash offers when TAB is pressed at the end of these words.
std::vector<std::string> completed(std::vector<std::string> const& words) {
    std::string list;
    for (auto const& word : words) list += " \"" + word + "\"";
    std::string const program = trireme(0, {})[0];
    std::string const script =
        "source <(" + program + " completion bash); compopt() { :; }; COMP_WORDS=(" + list +
        " ); COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 )); _trireme " + program +
        " \"${COMP_WORDS[-1]}\" \"${COMP_WORDS[-2]}\"; printf \"%s\\n\" \"${COMPREPLY[@]}\"";
    std::istringstream out(run_command({"bash", "-c", script}).output);
    std::vector<std::string> offers;
    for (std::string line; std::getline(out, line);)
        if (!line.empty()) offers.push_back(line);
    return offers;
}

TEST(Completion, OffersCommandsOptionsAndKeys) {
    using Words = std::vector<std::string>;
    EXPECT_EQ(completed({"trireme", "ex"}), (Words{"explain-config", "export"}));
    EXPECT_EQ(completed({"trireme", "train", "--d"}), (Words{"--dry-run"}));
    EXPECT_EQ(completed({"trireme", "train", "run.yaml", "--set", "optimizer.learn"}),
              (Words{"optimizer.learning_rate="}));
    EXPECT_EQ(completed({"trireme", "checkpoint", ""}), (Words{"list", "verify", "diff"}));
    EXPECT_EQ(completed({"trireme", "train", "ru"}), Words{}) << "files are bash's own business";
    EXPECT_GE(completed({"trireme", "help", ""}).size(), 10U);
}

TEST(Explain, ShowsValueAndOriginOfEveryKey) {
    TemporaryFolder const folder;
    std::string const yaml = write_tiny_run(folder.path());
    std::vector<std::string> command{"env", "TRIREME_SET=optimizer.beta1=0.8 seed=5"};
    for (auto const& word :
         trireme(0, {"explain-config", yaml, "--set", "batch.global=9", "--ranks", "4"}))
        command.push_back(word);
    Outcome const shown = run_command(command);
    ASSERT_EQ(shown.exit_code, 0) << shown.output;
    for (auto const& [key, value, origin] : std::vector<std::array<std::string, 3>>{
             {"batch.global", "9", "--set"},
             {"optimizer.beta1", "0.8", "TRIREME_SET"},
             {"seed", "5", "TRIREME_SET"},
             {"train.steps", "40", yaml + ":\\d+"},
             {"optimizer.beta2", "0.999", "default"},
             {"parallel.replicate", "4", "derived: 4 ranks.*"},
             {"model.classifier_dropout", "0.*", "derived: .*/model/config.json"}})
        EXPECT_TRUE(std::regex_search(
            shown.output, std::regex("(^|\n)" + key + " +" + value + " +" + origin + "\n")))
            << key << "\n"
            << shown.output;
    Outcome const keys = run_command(trireme(0, {"explain-config", "--keys"}));
    EXPECT_TRUE(has(keys.output, "a number >= 0")) << keys.output;
    EXPECT_EQ(std::ranges::count(keys.output, '\n'), std::ranges::count(shown.output, '\n'));
}

TEST(DryRun, ShowsTheRunAndWritesNothing) {
    TemporaryFolder const folder;
    std::string const yaml = write_tiny_run(folder.path());
    auto const before = content(folder.path());
    Outcome const shown = run_command(trireme(2, {"train", yaml, "--dry-run"}));
    ASSERT_EQ(shown.exit_code, 0) << shown.output;
    for (auto const* part :
         {"replicate 2", "derived: 2 ranks", "parameters", "40 steps of 7 samples", "53 samples",
          "micro-batches on 2 data-parallel ranks", "of optimizer state", "nothing was written"})
        EXPECT_TRUE(has(shown.output, part)) << part << "\n" << shown.output;
    Outcome const larger = run_command(trireme(0, {"train", yaml, "--dry-run", "--ranks", "64"}));
    EXPECT_TRUE(has(larger.output, "replicate 64")) << larger.output;
    EXPECT_TRUE(has(larger.output, "of the places for micro-batches stay empty")) << larger.output;
    EXPECT_EQ(content(folder.path()), before);
    Outcome const wrong =
        run_command(trireme(0, {"train", yaml, "--dry-run", "--set", "batch.global=500"}));
    EXPECT_EQ(wrong.exit_code, 2) << "what a run would refuse, so does this";
    EXPECT_TRUE(has(wrong.output, "has only 53 training samples")) << wrong.output;
    Outcome const elsewhere =
        run_command(trireme(0, {"train", yaml, "--dry-run", "--set", "data.path=not/here"}));
    EXPECT_TRUE(has(elsewhere.output, "not/here/manifest.json: no such file in " +
                                          fs::current_path().string() + "; legal: "))
        << elsewhere.output;
}

TEST(Resume, RefusalNamesOldAndNewValue) {
    TemporaryFolder const folder;
    std::string const yaml = write_tiny_run(folder.path());
    ASSERT_EQ(run_command(trireme(0, {"train", yaml, "--set", "train.steps=4"})).exit_code, 0);
    Outcome const other = run_command(trireme(0, {"train", yaml, "--set", "train.steps=4", "--set",
                                                  "optimizer.beta1=0.8", "--set", "seed=4"}));
    EXPECT_EQ(other.exit_code, 2);
    EXPECT_TRUE(has(other.output, "(optimizer.beta1: 0.9 -> 0.8, seed: 3 -> 4)")) << other.output;
}

TEST(Resume, AConfigurationOfTheVersionBeforeGoesOnWithOneLine) {
    TemporaryFolder const folder;
    std::string const yaml = write_tiny_run(folder.path());
    std::string const old = std::regex_replace(
        cluster::read_file(yaml), std::regex("tokens_per_micro_batch"), "tokens_per_slot");
    cluster::write_file(yaml, old);
    ASSERT_EQ(run_command(trireme(0, {"train", yaml, "--set", "train.steps=4"})).exit_code, 0);
    Outcome const on = run_command(trireme(0, {"train", yaml, "--set", "train.steps=6"}));
    ASSERT_EQ(on.exit_code, 0) << on.output;
    std::string const line = ": batch.tokens_per_slot is called batch.tokens_per_micro_batch now";
    EXPECT_TRUE(has(on.output, line)) << on.output;
    EXPECT_FALSE(has(on.output, "tokens_per_micro_batch: ")) << "no difference: " << on.output;
    Outcome const shown = run_command(trireme(0, {"train", yaml, "--dry-run"}));
    EXPECT_TRUE(has(shown.output, line)) << shown.output;
    EXPECT_FALSE(has(cluster::read_file(folder.path() + "/run/config.yaml"), "slot"));
}

TEST(Doctor, LooksAtAJobAsJson) {
    TemporaryFolder const folder;
    Outcome const shown =
        run_command(trireme(3, {"doctor", "--run", folder.path() + "/not/there/yet", "--json"}));
    EXPECT_EQ(shown.exit_code, 0) << shown.output;
    auto const report = nlohmann::json::parse(shown.output);
    ASSERT_EQ(report.at("ranks").size(), 3U);
    EXPECT_NE(report.at("ranks")[0].at("pid"), report.at("ranks")[2].at("pid"));
    std::vector<std::string> items;
    for (auto const& finding : report.at("findings")) {
        items.push_back(finding.at("item"));
        EXPECT_EQ(finding.at("cure") == "", finding.at("verdict") == "ok") << finding;
    }
    for (auto const* item : {"MPI", "launcher", "binding", "threads", "versions", "memory",
                             "network", "clocks", "GPU", "run folder", "write"})
        EXPECT_TRUE(std::ranges::find(items, item) != items.end()) << item;
    EXPECT_TRUE(fs::is_empty(folder.path())) << "the probe is removed, the folder not made";
}

TEST(Doctor, AProblemGivesOne) {
    TemporaryFolder const folder;
    Outcome const blind =
        run_command(trireme(0, {"doctor", "--run", folder.path(), "--data", folder.path()}));
    EXPECT_EQ(blind.exit_code, 1);
    EXPECT_TRUE(has(blind.output, "manifest.json: cannot be read by ranks 0")) << blind.output;
    EXPECT_TRUE(has(blind.output, "cure: ")) << blind.output;
    std::vector<std::string> command{"env", "SLURM_NTASKS=4", "SLURM_PROCID=2"};
    for (auto const& word : trireme(0, {"doctor", "--run", folder.path()})) command.push_back(word);
    Outcome const alone = run_command(command);
    EXPECT_EQ(alone.exit_code, 1) << "the trap of singletons";
    EXPECT_TRUE(has(alone.output, "SLURM_NTASKS is 4 but MPI sees a world of 1")) << alone.output;
}

} // namespace
} // namespace trireme::test
