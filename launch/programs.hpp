// Finds and starts the programs that lie in one folder: trireme, trireme-model, trireme-text.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace trireme::launch {

/// Folder of the program that runs.
std::filesystem::path own_folder();

/// Replaces this process by another program of its folder. `command` is what lists of processes
/// show: a name, then arguments. Throws InputError if it cannot be started.
[[noreturn]] void become(std::filesystem::path const& program,
                         std::vector<std::string> const& command);

} // namespace trireme::launch
