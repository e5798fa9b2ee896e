// Gives tests of the step model a machine and a model whose costs are counted by hand.
#pragma once
#include "framework/planning/prediction.hpp"

namespace trireme::test {

namespace fp = framework::planning;

/// A GPU whose products cost by their operations alone, and links without latency.
inline fp::Machine simple_machine(std::int64_t per_node, std::int64_t nodes) {
    fp::Machine machine;
    machine.gpu = {.name = "simple",
                   .matrix_flops = 1e14,
                   .memory_bytes = 80e9,
                   .memory_bandwidth = 2e12,
                   .multiprocessors = 100};
    machine.gpus_per_node = per_node;
    machine.nodes = nodes;
    machine.node_link = {.name = "inside", .bandwidth = 100e9};
    machine.network = {.name = "between", .bandwidth = 10e9};
    return machine;
}

inline fp::Workload gpt(std::int64_t pipeline, std::int64_t micro_batches) {
    fp::Workload w;
    w.model = {.hidden = 4096,
               .layers = 8,
               .heads = 32,
               .kv_heads = 32,
               .head_dim = 128,
               .ffn = 16384,
               .vocabulary = 1,
               .gated = false,
               .tied = false};
    w.layout.pipeline = pipeline;
    w.layout.schedule = pipeline > 1 ? fp::PipelineKind::one_f_one_b : fp::PipelineKind::none;
    w.sequence = 2048;
    w.micro_batches = micro_batches;
    return w;
}

} // namespace trireme::test
