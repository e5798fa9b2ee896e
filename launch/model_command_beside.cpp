#include "launch/model_command.hpp"
#include "launch/programs.hpp"

namespace trireme::launch {

bool const kModelsAreHere = false;

namespace {

/// Goes by the name of this program, by which users and scripts look for their runs.
[[noreturn]] void go_beside(std::vector<std::string> command) {
    command.insert(command.begin(), (own_folder() / "trireme").string());
    become(own_folder() / "trireme-model", command);
}

} // namespace

int model_command(std::string const& name, std::vector<std::string> const& arguments) {
    std::vector<std::string> command{name};
    command.insert(command.end(), arguments.begin(), arguments.end());
    go_beside(std::move(command));
}

int version_command() {
    go_beside({"--version"});
}

} // namespace trireme::launch
