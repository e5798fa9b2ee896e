#include "launch/model_command.hpp"
#include "launch/programs.hpp"

namespace trireme::launch {

bool const kModelsAreHere = false;

int model_command(std::string const& name, std::vector<std::string> const& arguments) {
    std::vector<std::string> command{(own_folder() / "trireme-model").string(), name};
    command.insert(command.end(), arguments.begin(), arguments.end());
    become(command);
}

int version_command() {
    become({(own_folder() / "trireme-model").string(), "--version"});
}

} // namespace trireme::launch
