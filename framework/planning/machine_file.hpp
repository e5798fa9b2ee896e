// Reads the description of a machine: a file of configs/machines, or one of the same form.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "framework/planning/machine.hpp"

namespace trireme::framework::planning {

struct MachineHost {
    std::string source;
    std::int64_t cores = 0;       ///< of a node; 0: not known
    double memory_bytes = 0;      ///< of a node; 0: not known
    double storage_bandwidth = 0; ///< bytes/s that a node writes and syncs; 0: not known
    double storage_read = 0;      ///< bytes/s that a node reads; 0: not known
    double watts = 0;             ///< of a node beside its GPUs; 0: not known
};

struct MachineFile {
    std::string name;
    std::string verified_on; ///< where its numbers were measured; "nothing" if they are data sheets
    Machine machine;         ///< its gpu's efficiencies are 0 where the file gives none
    double fp8_flops = 0;    ///< FLOP/s, dense; 0: none
    double gpu_watts = 0;    ///< most that one takes; 0: not known
    std::int64_t rails = 1;  ///< network interfaces of a node
    std::string topology;
    MachineHost host;
    std::string gpu_source, node_source, network_source;
};

/// `name` is that of a file in `folder` (without .yaml), or a path (with a slash or .yaml). Throws
/// InputError "FILE:LINE: key: value: legal: ..." for unknown, doubled and missing keys and for
/// values that no machine has.
MachineFile read_machine(std::string const& name, std::string const& folder);

/// The text of a file that read_machine reads; `comments` stand at its top.
std::string to_yaml(MachineFile const& machine, std::vector<std::string> const& comments = {});

} // namespace trireme::framework::planning
