#include <cstdlib>

#include "launch/model_command.hpp"
#include "launch/programs.hpp"

namespace trireme::launch {

bool const kModelsAreHere = false;

namespace {

/// Has the C library ask for large pages, where the system gives them to who asks: products of
/// matrices look up fewer addresses, and libtorch takes a third of the page faults to start. A
/// program is told so before it starts (glibc manual, "Memory Allocation Tunables").
void ask_for_large_pages() {
    char const* const given = std::getenv("GLIBC_TUNABLES");
    std::string tunables = given ? given : "";
    if (tunables.find("glibc.malloc.hugetlb") != std::string::npos) return;
    if (!tunables.empty()) tunables += ':';
    setenv("GLIBC_TUNABLES", (tunables + "glibc.malloc.hugetlb=1").c_str(), 1);
}

/// Goes by the name of this program, by which users and scripts look for their runs.
[[noreturn]] void go_beside(std::vector<std::string> command) {
    ask_for_large_pages();
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
