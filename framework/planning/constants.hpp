// Reads what the planner knows about GPUs, links and frameworks: facts of data sheets and source
// code, and constants that were fitted. All of it lies in one file,
// configs/planning/constants.json.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "framework/planning/machine.hpp"
#include "framework/planning/stack.hpp"

namespace trireme::framework::planning {

struct StackEntry {
    Stack stack;
    std::vector<std::string> tables; ///< words of a row's table or source that mean this stack
};

struct Constants {
    std::map<std::string, Gpu> gpus;
    std::map<std::string, Link> node_links; ///< by the GPU's name
    std::map<std::string, Link> networks;   ///< by a word of the network's name; "other": the rest
    std::vector<StackEntry> stacks;         ///< the first whose words are found; the last: the rest

    /// Throws InputError that lists the GPUs known.
    Gpu const& gpu(std::string const& name) const;
    Link const& node_link(std::string const& gpu) const;
    Link network(std::string const& name) const;
    Stack const& stack(std::string const& name) const;
    /// Efficiencies and latencies of a machine's file: those that were `measured` there stay, the
    /// others become the fitted ones of its GPU and its network.
    Machine complete(Machine machine, bool measured) const;
    Stack const& stack_of_row(std::string const& table, std::string const& source) const;
};

/// Throws InputError "FILE: FIELD: VALUE: legal: ...". Fields that are no facts or constants are
/// refused.
Constants read_constants(std::string const& file);

} // namespace trireme::framework::planning
