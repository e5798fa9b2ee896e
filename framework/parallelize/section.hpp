// Sections `parallel` and `numerics` of a run's configuration.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "parallel/pipeline_schedule.hpp"

namespace trireme::framework::parallelize {

/// Names the parts of a layer that are computed again in its backward pass.
enum class Recompute : std::uint8_t { none, selective, full };
/// Names the state that is kept in host memory between updates.
enum class Offload : std::uint8_t { none, optimizer };
/// Names the place where ranks compute; cuda: a GPU for each.
enum class Device : std::uint8_t { cpu, cuda };
struct ParallelSection {
    int pipeline = 1, tensor = 1, context = 1;
    /// 0: what the world size leaves, for shard when zero > 0 and else for replicate
    int replicate = 0, shard = 0;
    int zero = 0; ///< ZeRO stage over the shard axis, 0 to 3
    parallel::ScheduleKind schedule = parallel::ScheduleKind::one_f_one_b;
    /// parts of the model per pipeline stage; interleaved: 2 or more
    int virtual_stages = 1;
    /// layers of each of the pipeline x virtual_stages parts; empty: an even split
    std::vector<int> layers = {};
    Recompute recompute = Recompute::none;
    Offload offload = Offload::none;
    Device device = Device::cpu;
    bool share_gpus = false; ///< several ranks may have one GPU: for tests, slow
};

enum class NumericsMode : std::uint8_t { bitwise, fast };
enum class Compute : std::uint8_t { fp64, fp32, bf16 };
struct NumericsSection {
    NumericsMode mode = NumericsMode::fast;
    Compute compute = Compute::fp32;
    int threads = 0; ///< per rank; 0: cores of the node divided by its ranks
};

/// Names in configurations and messages, in the order of the values.
constexpr auto names_of(Recompute) {
    return std::array{"none", "selective", "full"};
}
constexpr auto names_of(Offload) {
    return std::array{"none", "optimizer"};
}
constexpr auto names_of(Device) {
    return std::array{"cpu", "cuda"};
}
constexpr auto names_of(NumericsMode) {
    return std::array{"bitwise", "fast"};
}
constexpr auto names_of(Compute) {
    return std::array{"fp64", "fp32", "bf16"};
}
template <typename Enum>
requires requires(Enum value) {
    names_of(value);
}
constexpr char const* name_of(Enum value) {
    return names_of(value)[static_cast<std::size_t>(value)];
}

} // namespace trireme::framework::parallelize
