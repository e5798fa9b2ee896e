// The NCCL back end: GPU tensors. Compiled by the `gpu` preset; without it no_nccl.cpp refuses by
// name. Evidence: docs/gpu.md says what has been run on what.
//
// [Note: streams] Each group has a stream of its own for its calls. A call first makes that stream
// follow the streams that its buffers name (Buffer::stream, never null), so it starts after the
// kernels that produced its input and after the last use of its output. What comes after is the
// caller's: Work::wait(stream) makes a stream follow the call's end on the device, Work::wait()
// polls on the host. Until one of the two, neither input nor output may be touched. Nothing else
// synchronises. Ranks must start calls on different groups in one order: NCCL kernels of two groups
// share a GPU.
#pragma once
#include <memory>

#include "cluster/communicator.hpp"

namespace trireme::cluster {

/// Whether this build has NCCL.
bool has_nccl();

struct NcclOptions {
    int device = 0; ///< CUDA device of this process, which becomes its current one
    /// Several ranks on one GPU: each is a host of its own to NCCL (NCCL_HOSTID), and they talk
    /// over the network. For tests: slow, and it can deadlock where kernels of the ranks wait for
    /// each other and do not fit the GPU together.
    bool share_gpus = false;
};

/// A world of GPUs over the processes of `control`, which must outlive the result. Calls on memory
/// of GPUs are NCCL's; calls on memory of the host, barriers and the end of the job are those of
/// `control` and of groups split from it, as is the broadcast of the unique id. Collective over
/// `control`. Throws InputError in a build without NCCL, and on every rank if two ranks have one
/// GPU, naming both; JobError with NCCL's own text otherwise. No call waits on the host past the
/// deadline of `options`; one that passes it is aborted (ncclCommAbort) or, where the host no
/// longer waits for it, ends the job (Work::wait(stream)). Sums of bf16 are an all-to-all, a sum in
/// float32 in rank order with one rounding, and an all-gather: NCCL's own are rounded at every hop.
std::unique_ptr<Communicator> make_nccl_world(Communicator& control, NcclOptions const& place,
                                              CommunicatorOptions const& options);

} // namespace trireme::cluster
