#include <fmt/format.h>

#include "cluster/nccl_communicator.hpp"
#include "launch/commands.hpp"
#include "launch/doctor.hpp"

namespace trireme::launch {

void print_version() {
    std::string const all = library_versions();
    auto const comma = all.find(", ");
    fmt::print("{}\n{} build: {}\n", all.substr(0, comma), cluster::has_nccl() ? "GPU" : "CPU",
               all.substr(comma + 2));
}

} // namespace trireme::launch
