// Describes the machine that a step runs on, as data. Peaks and rates come from data sheets;
// efficiencies and latencies are measured or fitted (docs/planning.md).
#pragma once
#include <cstdint>
#include <memory>
#include <string>

namespace trireme::framework::planning {

struct Calibration;

struct Gpu {
    std::string name;
    double matrix_flops = 0;     ///< FLOP/s, dense, bf16 or fp16
    double memory_bytes = 0;     ///< that the allocator may use
    double memory_bandwidth = 0; ///< bytes/s
    std::int64_t multiprocessors = 1;

    double matrix_efficiency = 1; ///< of the peak, which large matrix products reach
    double memory_efficiency = 1; ///< of the bandwidth, which kernels bound by memory reach
    double tile_depth = 0;        ///< inner elements whose time a tile takes to start and to end
};

/// One kind of connection between the ranks of a collective call.
struct Link {
    std::string name;
    double bandwidth = 0;  ///< bytes/s, one direction: of a GPU inside a node, of a node between
    double efficiency = 1; ///< of the bandwidth, which large ring collectives reach
    double latency = 0;    ///< s, of each step of a ring
    /// loss of bandwidth with each doubling of nodes after the first two, of rings that have
    /// several ranks on a node
    double contention = 0;
    double fed = 1; ///< of the rate, at most, which the software that sends keeps busy
};

struct Machine {
    std::string name;
    Gpu gpu;
    std::int64_t gpus_per_node = 1;
    std::int64_t nodes = 1;
    Link node_link; ///< between the GPUs of a node
    Link network;   ///< between nodes; unused with one node
    /// measured kernels and collectives (calibration.hpp), which go before all of the above
    std::shared_ptr<Calibration const> calibration = nullptr;
};

} // namespace trireme::framework::planning
