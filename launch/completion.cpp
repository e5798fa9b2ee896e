#include <fmt/format.h>

#include "cluster/error.hpp"
#include "launch/commands.hpp"
#include "launch/completion_script.hpp"
#include "launch/options.hpp"

namespace trireme::launch {

int completion_command(std::vector<std::string> const& arguments) {
    namespace po = boost::program_options;
    std::string shell;
    po::options_description options(
        "trireme completion SHELL: a script that makes the shell complete commands, options, keys "
        "of --set and "
        "files\n\n"
        "  source <(trireme completion bash)                                 # in this shell, or "
        "in ~/.bashrc\n"
        "  mkdir -p ~/.local/share/bash-completion/completions && \\\n"
        "      trireme completion bash > "
        "~/.local/share/bash-completion/completions/trireme\n\nOptions");
    options.add_options()("shell", po::value(&shell)->required(), "bash");
    if (!parse(options, arguments, "shell")) return 0;
    if (shell != "bash") throw cluster::InputError(shell + ": legal: bash");
    fmt::print("{}", kCompletionScript);
    return 0;
}

} // namespace trireme::launch
