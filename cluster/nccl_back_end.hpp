// Internal to the NCCL back end: from a group of NCCL's to a communicator of ours.
#pragma once
#include <memory>
#include <string>

#include "cluster/communicator.hpp"
#include "cluster/nccl_group.hpp"
#include "cluster/nccl_watch.hpp"

namespace trireme::cluster {

std::unique_ptr<Communicator> make_nccl_communicator(std::shared_ptr<NcclGroup> group,
                                                     std::shared_ptr<NcclWatch> watch,
                                                     std::shared_ptr<Communicator> control,
                                                     std::string name, CommunicatorOptions options);

} // namespace trireme::cluster
