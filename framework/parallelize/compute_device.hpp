// Chooses where a job computes: `parallel.device`.
#pragma once
#include <ATen/ATen.h>

#include <chrono>
#include <memory>
#include <string>

#include "cluster/communicator.hpp"
#include "framework/model/config.hpp"
#include "framework/parallelize/section.hpp"

namespace trireme::framework::parallelize {

class ComputeDevice {
  public:
    /// With cuda, gives this rank a GPU of its host, by its place among the ranks there, and makes
    /// an NCCL world of all ranks. `control` must outlive it. Collective over `control`. Throws
    /// InputError where there is no GPU for each rank, JobError with NCCL's words if the world
    /// cannot be made within the deadline.
    ComputeDevice(ParallelSection const& section, NumericsSection const& numerics,
                  cluster::Communicator& control, std::chrono::milliseconds deadline);

    at::Device device() const { return device_; }
    /// Returns the world for tensors: NCCL's with cuda, otherwise `control`.
    cluster::Communicator& world() { return gpus_ ? *gpus_ : control_; }

  private:
    cluster::Communicator& control_;
    at::Device device_ = at::kCPU;
    std::unique_ptr<cluster::Communicator> gpus_;
};

/// Tells a user of a GPU how it will compute: which attention, and why. Empty on a CPU.
std::string device_note(at::Device device, model::Config const& model,
                        NumericsSection const& numerics);

} // namespace trireme::framework::parallelize
