#include "framework/parallelize/compute_device.hpp"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "cluster/faulty_communicator.hpp"
#include "cluster/nccl_communicator.hpp"
#include "cluster/topology.hpp"
#include "framework/model/flash.hpp"
#include "framework/parallelize/numerics.hpp"
#include "framework/parallelize/tensor_memory.hpp"
#include "parallel/tensor_place.hpp"

namespace trireme::framework::parallelize {

namespace {

/// Before CUDA's first call: cuBLAS reads its variable then.
void configure_gpu_numerics(NumericsSection const& numerics) {
    auto& context = at::globalContext();
    bool const bitwise = numerics.mode == NumericsMode::bitwise;
    if (bitwise) setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", 0);
    context.setDeterministicAlgorithms(bitwise, false);
    // nothing here reads what it has not written
    context.setDeterministicFillUninitializedMemory(false);
    context.setAllowBF16ReductionCuBLAS(false, true);
    // A run in bf16 multiplies in float32 what was bf16 or becomes it (attention that is not
    // flash): TF32 keeps more of that than bf16 does. A run in fp32 is asked for all of its digits.
    context.setAllowTF32CuBLAS(numerics.compute == Compute::bf16);
}

} // namespace

at::ScalarType compute_dtype(Compute compute) {
    switch (compute) {
    case Compute::fp64: return at::kDouble;
    case Compute::fp32: return at::kFloat;
    case Compute::bf16: return at::kBFloat16;
    }
    return at::kFloat;
}

int configure_numerics(NumericsSection const& section, int cores_of_this_rank) {
    // STRICT: a product's bits do not depend on the alignment of its operands (oneMKL developer
    // guide, "Obtaining numerically reproducible results"). A value set by the user stays.
    if (section.mode == NumericsMode::bitwise) setenv("MKL_CBWR", "AUTO,STRICT", 0);
    keep_memory_of_tensors();
    int const threads = section.threads > 0 ? section.threads : std::max(1, cores_of_this_rank);
    at::set_num_threads(threads);
    return threads;
}

ComputeDevice::ComputeDevice(ParallelSection const& section, NumericsSection const& numerics,
                             cluster::Communicator& control, std::chrono::milliseconds deadline)
    : control_(control) {
    if (section.device != Device::cuda) return;
    configure_gpu_numerics(numerics);
    // Stages that load kernels while they receive could wait for each other (parallel::turns_of).
    if (section.pipeline > 1) setenv("CUDA_MODULE_LOADING", "EAGER", 0);
    int const index = parallel::use_gpu(cluster::topology(control).local_rank);
    device_ = at::Device(at::kCUDA, static_cast<at::DeviceIndex>(index));
    gpus_ = cluster::with_faults(cluster::make_nccl_world(
        control, {.device = index, .share_gpus = section.share_gpus}, {.deadline = deadline}));
}

std::string device_note(at::Device device, model::Config const& model,
                        NumericsSection const& numerics) {
    if (!device.is_cuda()) return "";
    std::string const why =
        model::no_flash(compute_dtype(numerics.compute),
                        {model.head_size, model.attention_dropout, model.attention_cap});
    std::string const attention =
        why.empty()
            ? "attention: flash"
            : fmt::format("attention: one sample at a time, whose scores are in memory: not "
                          "flash, since {}",
                          why);
    if (numerics.compute == Compute::bf16) return attention;
    return fmt::format("{}; products in {}, without TF32: many times as slow on a GPU as "
                       "numerics.compute: bf16",
                       attention, name_of(numerics.compute));
}

} // namespace trireme::framework::parallelize
