// The gpu preset's link check: a program in which every device entry point is resolved, and which
// starts without a driver. On a machine without a GPU the NCCL world must be refused in CUDA's own
// words.
#include <cstdio>

#include "cluster/error.hpp"
#include "cluster/nccl_communicator.hpp"
#include "cluster/thread_communicator.hpp"
#include "framework/kernels/fused/programs.hpp"

int main() {
    using namespace trireme;
    namespace fused = framework::kernels::fused;
    auto* const volatile kernel = &fused::launch<fused::NormForward<fused::BFloat16>>;
    auto const control = cluster::make_thread_world(1, {});
    try {
        auto const world = cluster::make_nccl_world(*control[0], {}, {});
        std::printf("NCCL world of %d: a GPU is here\n", world->size());
    } catch (cluster::JobError const& error) {
        std::printf("no GPU: %s\n", error.what());
    }
    return kernel == nullptr;
}
