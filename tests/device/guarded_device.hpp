// A device whose memory the host cannot touch, for tests: libtorch's place for another back end
// (PrivateUse1), with one page-protected block per tensor. Operations run on the CPU, over copies;
// anything else that reads or writes a tensor's memory is a segmentation fault, as it would be with
// a GPU's. Flash attention, which libtorch has not for CPUs, is computed here from its documented
// arguments.
#pragma once
#include <ATen/ATen.h>

#include <cstddef>

namespace trireme::test {

inline at::Device const kGuarded{at::kPrivateUse1, 0};

/// Registers the device, once. `threads`: several ranks are threads of this process; what a
/// collective was given then stays open to the host.
void install_guarded_device(bool threads = false);

struct GuardedCounts {
    std::size_t operations; ///< computed
    std::size_t read_backs; ///< copies to the host, for each of which it would wait
    std::size_t flash;      ///< calls of libtorch's flash attention, forward and backward
};
/// So far, of this process.
GuardedCounts guarded_counts();

} // namespace trireme::test
