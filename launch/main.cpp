// The `trireme` command.
#include <fmt/format.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <map>

#include "cluster/error.hpp"
#include "launch/commands.hpp"

namespace {

using namespace trireme;
using Arguments = std::vector<std::string>;

struct Command {
    char const* summary;
    int (*run)(Arguments const&);
};

/// Replaces this process by another program.
[[noreturn]] void become(Arguments const& command) {
    std::vector<char*> argv;
    for (auto const& word : command) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    execv(argv[0], argv.data());
    throw cluster::InputError(
        fmt::format("{}: {}; run launch/setup and cmake --build build", command[0], std::strerror(errno)));
}

/// The text tools are a program of their own, which lies beside this one.
int text_command(char const* name, Arguments const& arguments) {
    Arguments command{(std::filesystem::read_symlink("/proc/self/exe").parent_path() / "trireme-text").string(), name};
    command.insert(command.end(), arguments.begin(), arguments.end());
    become(command);
}

int plot_command(Arguments const& arguments) {
    Arguments command{TRIREME_DEFAULT_PYTHON, TRIREME_PLOT_SCRIPT};
    command.insert(command.end(), arguments.begin(), arguments.end());
    become(command);
}

std::map<std::string, Command> const kCommands{
    {"prepare", {"text files to HDF5 shards", [](Arguments const& a) { return text_command("prepare", a); }}},
    {"inspect",
     {"samples of a data set as coloured tokens", [](Arguments const& a) { return text_command("inspect", a); }}},
    {"train", {"fine-tune, or continue a run; start it with mpirun or srun", launch::train_command}},
    {"evaluate", {"exact metrics of a model on a split", launch::evaluate_command}},
    {"export", {"a run's best checkpoint as a Hugging Face folder", launch::export_command}},
    {"verify", {"logits, loss and gradients of a model; is an export still what it was?", launch::verify_command}},
    {"plot", {"loss and accuracy of a run as an SVG", plot_command}},
    {"parity", {"prove that every layout computes one and the same thing", launch::parity_command}},
    {"checkpoint", {"list or verify the checkpoints of a run", launch::checkpoint_command}},
};

void print_help() {
    fmt::print("Trireme fine-tunes every parameter of a language model over MPI ranks.\n\n  trireme COMMAND [OPTIONS]  "
               "   trireme COMMAND --help\n\n");
    for (auto const& [name, command] : kCommands) fmt::print("  {:<12}{}\n", name, command.summary);
    fmt::print("\nExit codes: 0 done, 2 bad input, 85 saved and to be continued, others: failed.\n");
}

} // namespace

int main(int argc, char** argv) {
    try {
        Arguments arguments(argv + 1, argv + argc);
        if (arguments.empty() || arguments[0] == "--help" || arguments[0] == "-h") return print_help(), 0;
        auto const found = kCommands.find(arguments[0]);
        if (found == kCommands.end()) throw cluster::InputError(arguments[0] + ": no such command; see trireme --help");
        arguments.erase(arguments.begin());
        return found->second.run(arguments);
    } catch (cluster::InputError const& error) {
        fmt::print(stderr, "trireme: {}\n", error.what());
        return cluster::kBadInput;
    } catch (std::exception const& error) {
        fmt::print(stderr, "trireme: {}\n", error.what());
        return cluster::kFailed;
    }
}
