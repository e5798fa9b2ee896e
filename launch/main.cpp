// The `trireme` command.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <string_view>

#include "cluster/error.hpp"
#include "cluster/nearest.hpp"
#include "cluster/process.hpp"
#include "launch/commands.hpp"
#include "launch/launcher.hpp"
#include "launch/options.hpp"

namespace {

using namespace trireme;
using Arguments = std::vector<std::string>;

/// among the ranks that a launcher started, or done by the first
enum class Work { divided, alone };

struct Command {
    char const* group;
    char const* name;
    char const* summary;
    int (*run)(Arguments const&);
    Work work = Work::alone;
};

/// Replaces this process by another program.
[[noreturn]] void become(Arguments const& command) {
    std::vector<char*> argv;
    for (auto const& word : command) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    execv(argv[0], argv.data());
    throw cluster::InputError(fmt::format("{}: {}; run launch/setup and cmake --build build",
                                          command[0], std::strerror(errno)));
}

std::filesystem::path own_folder() {
    return std::filesystem::read_symlink("/proc/self/exe").parent_path();
}

/// The text tools are a program of their own, which lies beside this one.
int text_command(char const* name, Arguments const& arguments) {
    Arguments command{(own_folder() / "trireme-text").string(), name};
    command.insert(command.end(), arguments.begin(), arguments.end());
    become(command);
}

/// A script in Python, which is installed, or lies beside the sources.
int script_command(std::string const& name, Arguments const& arguments) {
    auto const installed = own_folder().parent_path() / "share/trireme" / name;
    Arguments command{TRIREME_DEFAULT_PYTHON, "-I",
                      exists(installed) ? installed.string() : TRIREME_SCRIPTS "/" + name};
    command.insert(command.end(), arguments.begin(), arguments.end());
    // Lets a study or a sweep start this very program again in its jobs.
    setenv("TRIREME_PROGRAM", (own_folder() / "trireme").c_str(), 1);
    become(command);
}

int help_command(Arguments const& arguments);

// In the order of a first day's work, group by group.
constexpr std::array kCommands{
    Command{"Data", "audit", "what is wrong with the files: repeats, leaks, labels, personal data",
            [](Arguments const& a) { return text_command("audit", a); }},
    Command{"Data", "prepare", "text files to HDF5 shards",
            [](Arguments const& a) { return text_command("prepare", a); }, Work::divided},
    Command{"Data", "inspect", "samples of a data set as coloured tokens",
            [](Arguments const& a) { return text_command("inspect", a); }},
    Command{"Before a run", "init", "a commented configuration for a first run of a task",
            launch::init_command},
    Command{"Before a run", "doctor", "is this machine, or this job, fit to train on?",
            launch::doctor_command, Work::divided},
    Command{"Before a run", "explain-config",
            "every value of a configuration, and where it comes from", launch::explain_command},
    Command{"Before a run", "calibrate", "measures this machine, for plans that hold on it",
            launch::calibrate_command, Work::divided},
    Command{"Before a run", "plan", "which layouts of a run fit a machine, and how fast they are",
            launch::plan_command},
    Command{"Before a run", "step-cost", "launches, bytes, waits and collectives of a step",
            launch::step_cost_command},
    Command{"Before a run", "parity", "prove that every layout computes the same",
            launch::parity_command, Work::divided},
    Command{"Training", "train", "fine-tune, or continue a run; start it with mpirun or srun",
            launch::train_command, Work::divided},
    Command{"Training", "submit", "a Slurm job, or a chain of them, that trains",
            launch::submit_command},
    Command{"Training", "study", "how a run scales over nodes: the cells, and the report on them",
            [](Arguments const& a) { return script_command("study.py", a); }},
    Command{"Training", "sweep", "the best of many configurations, and how sure that is",
            [](Arguments const& a) { return script_command("sweep.py", a); }},
    Command{"Training", "status", "where a run stands, its jobs, and who ended the last one",
            launch::status_command},
    Command{"Training", "checkpoint", "list, verify or compare the checkpoints of a run",
            launch::checkpoint_command},
    Command{"Training", "replay", "steps of a run, computed again and compared",
            [](Arguments const& a) { return script_command("replay.py", a); }},
    Command{"Training", "diverge", "where two ways to compute a run first differ",
            [](Arguments const& a) { return script_command("diverge.py", a); }},
    Command{"Training", "profile", "where the time of each rank went, as a trace and a picture",
            [](Arguments const& a) { return script_command("timeline.py", a); }},
    Command{"Training", "plot", "loss and accuracy of a run as an SVG",
            [](Arguments const& a) { return script_command("plot.py", a); }},
    Command{"Training", "log", "the log of a run for Weights & Biases or MLflow",
            [](Arguments const& a) { return script_command("log.py", a); }},
    Command{"Results", "evaluate", "exact metrics of a model on a split", launch::evaluate_command,
            Work::divided},
    Command{"Results", "predict", "labels, numbers, answers or words for texts without them",
            launch::predict_command, Work::divided},
    Command{"Results", "attribute", "which words a prediction rests on, what each token costs",
            launch::attribute_command, Work::divided},
    Command{"Results", "report", "a page about a run or an evaluation, with pictures",
            [](Arguments const& a) { return script_command("report.py", a); }},
    Command{"Results", "compare", "a page about several runs: results, keys, curves",
            [](Arguments const& a) { return script_command("compare.py", a); }},
    Command{"Results", "dynamics", "which training samples are hard, and which labels are wrong",
            [](Arguments const& a) { return script_command("dynamics.py", a); }},
    Command{"Results", "bias", "how groups of people are treated, before and after tuning",
            [](Arguments const& a) { return script_command("bias.py", a); }},
    Command{"Results", "memorization", "what a decoder gives away of its training texts",
            [](Arguments const& a) { return script_command("memorization.py", a); }},
    Command{"Results", "generate", "completions of prompts, and their scores",
            launch::generate_command, Work::divided},
    Command{"Results", "export", "a run's best checkpoint as a Hugging Face folder",
            launch::export_command},
    Command{"Results", "verify",
            "logits, loss and gradients of a model; is an export still what it was?",
            launch::verify_command, Work::divided},
    Command{"Shell", "completion", "a script that makes bash complete commands, options and keys",
            launch::completion_command},
    Command{"Shell", "help", "this list, or the help of one command", help_command},
};

/// What a word that is no command is called here.
struct OtherWord {
    char const* word;
    char const* ours;
};
constexpr std::array kOtherWords{OtherWord{"chat", "generate MODEL --chat"},
                                 OtherWord{"complete", "generate"},
                                 OtherWord{"infer", "predict"},
                                 OtherWord{"inference", "predict"},
                                 OtherWord{"classify", "predict"},
                                 OtherWord{"explain", "attribute"},
                                 OtherWord{"interpret", "attribute"},
                                 OtherWord{"test", "evaluate"},
                                 OtherWord{"eval", "evaluate"},
                                 OtherWord{"score", "evaluate"},
                                 OtherWord{"benchmark", "evaluate"},
                                 OtherWord{"finetune", "train"},
                                 OtherWord{"fine-tune", "train"},
                                 OtherWord{"fit", "train"},
                                 OtherWord{"run", "train"},
                                 OtherWord{"resume", "train"},
                                 OtherWord{"dry-run", "train CONFIG --dry-run"},
                                 OtherWord{"tokenize", "prepare"},
                                 OtherWord{"convert", "export"},
                                 OtherWord{"save", "export"},
                                 OtherWord{"sbatch", "submit"},
                                 OtherWord{"config", "init"},
                                 OtherWord{"configure", "init"},
                                 OtherWord{"new", "init"},
                                 OtherWord{"check", "doctor"},

                                 OtherWord{"version", "--version"}};

[[noreturn]] void refuse_command(std::string const& word) {
    auto const* const other = std::ranges::find_if(
        kOtherWords, [&](OtherWord const& known) { return word == known.word; });
    if (other != kOtherWords.end())
        throw cluster::InputError(fmt::format(
            "{}: no such command; did you mean trireme {}? trireme --help lists all of them", word,
            other->ours));
    std::vector<std::string> names;
    for (auto const& command : kCommands) names.push_back(command.name);
    throw cluster::InputError(fmt::format("{}: no such command{} legal: {}", word,
                                          cluster::suggestion(word, names),
                                          fmt::join(names, ", ")));
}

Command const& find_command(std::string const& name) {
    auto const* const found = std::ranges::find_if(
        kCommands, [&](Command const& c) { return std::string_view(c.name) == name; });
    if (found == kCommands.end()) refuse_command(name);
    return *found;
}

constexpr char const* kOptionsAndExamples =
    "\nOptions:\n"
    "  -h, --help      show this help; `trireme help COMMAND` shows a command's, with "
    "an example\n"
    "  --version       show versions\n"
    "\nExamples:\n"
    "  trireme prepare --task classification --tokenizer MODEL --input my.csv --label "
    "stars --output data\n"
    "  trireme train run.yaml --dry-run\n"
    "  mpirun -n 2 trireme train run.yaml\n\n";

void print_help() {
    fmt::print("Usage: trireme COMMAND [OPTION]...\n"
               "Fine-tunes every parameter of a language model over MPI ranks.\n");
    std::string_view group;
    for (auto const& command : kCommands) {
        if (group != command.group) fmt::print("\n{}:\n", command.group);
        group = command.group;
        fmt::print("  {:<16}{}\n", command.name, command.summary);
    }
    fmt::print("{}{}", kOptionsAndExamples, launch::kExitStatus);
}

bool asks_for_help(std::string const& word) {
    return word == "--help" || word == "-h";
}

/// Refuses what follows the first word.
void refuse_more(Arguments const& arguments) {
    if (arguments.size() > 1)
        throw cluster::InputError(
            fmt::format("{}: one word too many; see trireme --help", arguments[1]));
}

int help_command(Arguments const& arguments) {
    bool const of_all = arguments.empty() || arguments[0] == "help" || asks_for_help(arguments[0]);
    Command const& command = find_command(of_all ? "help" : arguments[0]);
    refuse_more(arguments);
    return of_all ? (print_help(), 0) : command.run({"--help"});
}

int run_command(Arguments arguments) {
    // the help or version of all commands, not of one
    bool const of_all = arguments.empty() || arguments[0].starts_with('-');
    Command const& command = of_all ? find_command("help") : find_command(arguments[0]);
    if (command.work == Work::alone && !launch::works_alone(command.name)) return 0;
    if (!arguments.empty() && arguments[0] == "--version")
        return refuse_more(arguments), launch::print_version(), 0;
    if (of_all) return help_command(arguments);
    arguments.erase(arguments.begin());
    return command.run(arguments);
}

} // namespace

int main(int argc, char** argv) {
    cluster::guard_process();
    try {
        int const code = run_command({argv + 1, argv + argc});
        // its results are in the run folder
        bool const trains = argc > 1 && std::string_view(argv[1]) == "train";
        cluster::finish_output(trains ? cluster::Reader::optional : cluster::Reader::needed);
        return code;
    } catch (std::exception const& error) {
        return launch::report(error);
    }
}
