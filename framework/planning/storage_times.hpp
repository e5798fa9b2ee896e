// Times a folder's storage.
#pragma once
#include <string>

#include "cluster/communicator.hpp"

namespace trireme::framework::planning {

struct StorageRates {
    double write = 0, read = 0; ///< bytes/s of all ranks of `group` together
};

/// Each rank writes and syncs a file of `bytes` in `folder`, forgets it and reads it again; files
/// are removed. What a controller or a server keeps in memory cannot be made to forget, so that
/// `read` may be its speed. Collective. Throws InputError "--folder: ..." with the call that
/// failed.
StorageRates time_storage(std::string const& folder, std::size_t bytes,
                          cluster::Communicator& group);

} // namespace trireme::framework::planning
