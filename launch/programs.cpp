#include "launch/programs.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "cluster/error.hpp"

namespace trireme::launch {

std::filesystem::path own_folder() {
    return std::filesystem::read_symlink("/proc/self/exe").parent_path();
}

void become(std::filesystem::path const& program, std::vector<std::string> const& command) {
    std::vector<char*> argv;
    for (auto const& word : command) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    execv(program.c_str(), argv.data());
    throw cluster::InputError(fmt::format("{}: {}; run launch/setup and cmake --build build",
                                          program.string(), std::strerror(errno)));
}

} // namespace trireme::launch
