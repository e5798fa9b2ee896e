// Reads the command line of `trireme`. It is linked twice: into `trireme-model` with all commands,
// and into `trireme`, which starts in milliseconds since libtorch is no part of it, and becomes
// trireme-model for the commands that need tensors.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string_view>

#include "cluster/error.hpp"
#include "cluster/nearest.hpp"
#include "cluster/process.hpp"
#include "launch/commands.hpp"
#include "launch/launcher.hpp"
#include "launch/model_command.hpp"
#include "launch/options.hpp"
#include "launch/programs.hpp"

namespace {

using namespace trireme;
using Arguments = std::vector<std::string>;

/// among the ranks that a launcher started, or done by the first
enum class Work { divided, alone };

/// A command lies in this program, or in one that lies beside it.
enum class Home {
    here,
    model,  ///< trireme-model: whatever needs tensors
    text,   ///< trireme-text, so that training has no Python in it
    script, ///< a file of Python
};

struct Command {
    char const* group;
    char const* name;
    char const* summary;
    Home home;
    Work work = Work::alone;
};

// In the order of a first day's work, group by group.
constexpr std::array kCommands{
    Command{"Data", "audit", "what is wrong with the files: repeats, leaks, labels, personal data",
            Home::text},
    Command{"Data", "prepare", "text files to HDF5 shards", Home::text, Work::divided},
    Command{"Data", "inspect", "samples of a data set as coloured tokens", Home::text},
    Command{"Before a run", "init", "a commented configuration for a first run of a task",
            Home::model},
    Command{"Before a run", "doctor", "is this machine, or this job, fit to train on?", Home::model,
            Work::divided},
    Command{"Before a run", "explain-config",
            "every value of a configuration, and where it comes from", Home::model},
    Command{"Before a run", "calibrate", "measures this machine, for plans that hold on it",
            Home::model, Work::divided},
    Command{"Before a run", "plan", "which layouts of a run fit a machine, and how fast they are",
            Home::model},
    Command{"Before a run", "step-cost", "launches, bytes, waits and collectives of a step",
            Home::model},
    Command{"Before a run", "parity", "prove that every layout computes the same", Home::model,
            Work::divided},
    Command{"Training", "train", "fine-tune, or continue a run; start it with mpirun or srun",
            Home::model, Work::divided},
    Command{"Training", "submit", "a Slurm job, or a chain of them, that trains", Home::model},
    Command{"Training", "study", "how a run scales over nodes: the cells, and the report on them",
            Home::script},
    Command{"Training", "sweep", "the best of many configurations, and how sure that is",
            Home::script},
    Command{"Training", "status", "where a run stands, its jobs, and who ended the last one",
            Home::here},
    Command{"Training", "checkpoint", "list, verify or compare the checkpoints of a run",
            Home::model},
    Command{"Training", "replay", "steps of a run, computed again and compared", Home::script},
    Command{"Training", "diverge", "where two ways to compute a run first differ", Home::script},
    Command{"Training", "profile", "where the time of each rank went, as a trace and a picture",
            Home::script},
    Command{"Training", "plot", "loss and accuracy of a run as an SVG", Home::script},
    Command{"Training", "log", "the log of a run for Weights & Biases or MLflow", Home::script},
    Command{"Results", "evaluate", "exact metrics of a model on a split", Home::model,
            Work::divided},
    Command{"Results", "predict", "labels, numbers, answers or words for texts without them",
            Home::model, Work::divided},
    Command{"Results", "attribute", "which words a prediction rests on, what each token costs",
            Home::model, Work::divided},
    Command{"Results", "report", "a page about a run or an evaluation, with pictures",
            Home::script},
    Command{"Results", "compare", "a page about several runs: results, keys, curves", Home::script},
    Command{"Results", "dynamics", "which training samples are hard, and which labels are wrong",
            Home::script},
    Command{"Results", "bias", "how groups of people are treated, before and after tuning",
            Home::script},
    Command{"Results", "memorization", "what a decoder gives away of its training texts",
            Home::script},
    Command{"Results", "generate", "completions of prompts, and their scores", Home::model,
            Work::divided},
    Command{"Results", "export", "a run's best checkpoint as a Hugging Face folder", Home::model},
    Command{"Results", "verify",
            "logits, loss and gradients of a model; is an export still what it was?", Home::model,
            Work::divided},
    Command{"Shell", "completion", "a script that makes bash complete commands, options and keys",
            Home::here},
    Command{"Shell", "help", "this list, or the help of one command", Home::here}};

int text_command(char const* name, Arguments const& arguments) {
    auto const program = launch::own_folder() / "trireme-text";
    Arguments command{program.string(), name};
    command.insert(command.end(), arguments.begin(), arguments.end());
    launch::become(program, command);
}

/// The script is installed, or lies beside the sources.
int script_command(std::string const& name, Arguments const& arguments) {
    // A file `profile.py` would hide Python's own module of that name.
    std::string const file = (name == "profile" ? "timeline" : name) + ".py";
    auto const installed = launch::own_folder().parent_path() / "share/trireme" / file;
    Arguments command{TRIREME_DEFAULT_PYTHON, "-I",
                      exists(installed) ? installed.string() : TRIREME_SCRIPTS "/" + file};
    command.insert(command.end(), arguments.begin(), arguments.end());
    // Lets a study or a sweep start this very program again in its jobs.
    setenv("TRIREME_PROGRAM", (launch::own_folder() / "trireme").c_str(), 1);
    launch::become(TRIREME_DEFAULT_PYTHON, command);
}

int help_command(Arguments const& arguments);

int run(Command const& command, Arguments const& arguments) {
    std::string_view const name = command.name;
    switch (command.home) {
    case Home::model: return launch::model_command(command.name, arguments);
    case Home::text: return text_command(command.name, arguments);
    case Home::script: return script_command(command.name, arguments);
    case Home::here: break;
    }
    if (name == "status") return launch::status_command(arguments);
    if (name == "completion") return launch::completion_command(arguments);
    return help_command(arguments);
}

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
    return of_all ? (print_help(), 0) : run(command, {"--help"});
}

int run_command(Arguments arguments) {
    // the help or version of all commands, not of one
    bool const of_all = arguments.empty() || arguments[0].starts_with('-');
    bool const version = !arguments.empty() && arguments[0] == "--version";
    Command const& command = of_all ? find_command("help") : find_command(arguments[0]);
    bool const elsewhere = !launch::kModelsAreHere && (command.home == Home::model || version);
    if (!elsewhere && command.work == Work::alone && !launch::works_alone(command.name)) return 0;
    if (version) return refuse_more(arguments), launch::version_command();
    if (of_all) return help_command(arguments);
    arguments.erase(arguments.begin());
    return run(command, arguments);
}

/// Ends the process: every file is closed and MPI has ended. What is left are the destructors of
/// libtorch's registry of operators, a quarter of the processor time that a short command costs.
[[noreturn]] void leave(int code) {
    std::fflush(nullptr);
#ifdef __SANITIZE_ADDRESS__
    std::exit(code); // looks for leaks
#else
    std::_Exit(code);
#endif
}

} // namespace

int main(int argc, char** argv) {
    cluster::guard_process();
    int code = 0;
    try {
        code = run_command({argv + 1, argv + argc});
        // its results are in the run folder
        bool const trains = argc > 1 && std::string_view(argv[1]) == "train";
        cluster::finish_output(trains ? cluster::Reader::optional : cluster::Reader::needed);
    } catch (std::exception const& error) {
        code = launch::report(error);
    }
    leave(code);
}
