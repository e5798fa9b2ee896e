#include "cluster/error.hpp"
#include "cluster/nccl_communicator.hpp"

namespace trireme::cluster {

bool has_nccl() {
    return false;
}

std::unique_ptr<Communicator> make_nccl_world(Communicator&, NcclOptions const&,
                                              CommunicatorOptions const&) {
    throw InputError("this build has no NCCL; build it with: launch/setup --gpu && cmake --preset "
                     "gpu && cmake --build build");
}

} // namespace trireme::cluster
