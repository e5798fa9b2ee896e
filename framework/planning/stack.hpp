// Describes a training framework as data: what it saves, in which types it keeps and reduces, what
// it overlaps, and what its host and its kernels cost. Trireme is one instance.
#pragma once
#include <cstdint>
#include <string>

namespace trireme::framework::planning {

/// Fitted on measured steps, each physical. docs/planning.md tells how.
struct StackConstants {
    double host_kernel = 0;     ///< s of the host for each kernel
    double host_collective = 0; ///< s of the host for each collective call
    double elementwise = 1;     ///< memory traffic of kernels that are no matrix products, over
                                ///< that of one read and one write for each operation
    double overlap = 0;         ///< fraction of data-parallel traffic that compute can hide
    double attention = 0.5;     ///< of the matrix peak, which fused attention reaches
    double step = 0;            ///< s of a step outside forward, backward and update
};

struct Stack {
    std::string name;

    // What it keeps: bytes for each parameter.
    double weight_bytes = 2;
    double gradient_bytes = 2;   ///< kept from micro-step to micro-step
    double optimizer_bytes = 12; ///< fp32 weights and two moments
    double buffer_bytes = 0;     ///< unsharded besides, as a flat copy for the reduction
    double reduce_bytes = 2;     ///< for each gradient on the wire

    // What it saves of a layer for the backward pass: bytes for each token, over all tensor ranks.
    double saved_hidden = 10;   ///< x hidden, whole on each tensor rank unless sequence parallel
    double saved_split = 24;    ///< x hidden, split over tensor ranks
    double logits_bytes = 4;    ///< x vocabulary, saved by the loss
    double loss_peak_bytes = 0; ///< x vocabulary, besides while the loss is computed
    bool frees_stage_output = false; ///< a stage's output lives on only at the receiver

    // What it does.
    bool fused_elementwise = true;   ///< bias, activation, dropout, residual in one kernel each
    bool shards_gradients = false;   ///< reduce-scatter in ZeRO 1, not all-reduce
    bool blocking_transfers = true;  ///< compute waits for sends between pipeline stages
    bool scatters_transfers = false; ///< tensor ranks send a part each
    bool causal_attention = false;   ///< fused attention leaves masked blocks out

    double context_bytes = 0;     ///< on the device outside the allocator
    double reserved_overhead = 0; ///< of activations: allocator's blocks over what is allocated
    StackConstants constants;
};

} // namespace trireme::framework::planning
