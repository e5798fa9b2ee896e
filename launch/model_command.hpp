// Runs commands that need tensors, in this program or in the one that lies beside it.
// it.
#pragma once
#include <string>
#include <vector>

namespace trireme::launch {

extern bool const kModelsAreHere; ///< in this program

/// Runs the command of that name, and returns its exit code. In `trireme` it does not return: the
/// process becomes trireme-model.
int model_command(std::string const& name, std::vector<std::string> const& arguments);

/// `trireme --version`: this program, and the libraries it runs with. Returns as model_command
/// does.
int version_command();

} // namespace trireme::launch
