// The NCCL back end: GPU tensors. Compiled by the `gpu` preset; without it no_nccl.cpp refuses by name.
// Evidence: compiled and linked here; never run on a GPU by this project yet (docs/gpu.md).
#pragma once
#include <memory>

#include "cluster/communicator.hpp"

namespace trireme::cluster {

/// Whether this build has NCCL.
bool has_nccl();

/// A world of GPUs over the processes of `control`, which carries the unique id and must outlive the result. `device`:
/// CUDA device of this process. Collective over `control`. Throws InputError in a build without NCCL, JobError with
/// NCCL's own text otherwise. Operations are queued on each buffer's stream; Work::wait polls an event, never blocks
/// without a deadline. Sums of bf16 are refused: NCCL rounds at every hop, and gradients are reduced in float32.
std::unique_ptr<Communicator> make_nccl_world(Communicator& control, int device, CommunicatorOptions const& options);

} // namespace trireme::cluster
