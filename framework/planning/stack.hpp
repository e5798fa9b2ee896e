// Describes a training framework as data: what it saves, in which types it keeps and reduces, what
// it overlaps, and what its host and its kernels cost. Trireme is one instance.
#pragma once
#include <cstdint>
#include <limits>
#include <string>

namespace trireme::framework::planning {

/// Fitted on measured steps, each physical; a stack names at most six of them.
struct StackConstants {
    double host_kernel = 0;     ///< s of the host for each kernel
    double host_collective = 0; ///< s that each rank more of a group holds up a collective call
    double elementwise = 1;     ///< memory traffic of kernels that are no matrix products, over
                                ///< that of one read and one write for each operation
    double overlap = 0;         ///< fraction of compute that hides traffic of data ranks
    double attention = 0.5;     ///< of the matrix peak, which fused attention reaches
    double network_use = 1;     ///< of the network, which traffic of data ranks keeps busy at most
    double fixed_bytes = 0;     ///< that buckets of collective calls and the like take
    double reserved_overhead = 0; ///< of activations: allocator's blocks over what is allocated
    double step = 0;              ///< s of a step outside forward, backward and update
};

struct Stack {
    std::string name;

    // What it keeps: bytes for each parameter.
    double weight_bytes = 2;
    double gradient_bytes = 2;       ///< kept from micro-step to micro-step
    double optimizer_bytes = 12;     ///< fp32 weights and two moments
    double sharded_buffer_bytes = 0; ///< under ZeRO 1, whole on each rank besides
    double copy_bytes = 0;           ///< with data ranks: a copy of gradients, which ZeRO 1 shards
    double fp32_copy_bytes = 0; ///< of gradients where they are added up in fp32, never sharded
    /// Holds for `copy_bytes` and `sharded_buffer_bytes`: while passes run, each rank has whole
    /// gradients of `weight_bytes` each in their place.
    bool copies_only_between_steps = false;
    double largest_bytes = 0; ///< x the largest weight, while its gradient is computed, and once
                              ///< more in blocks that nothing else uses
    double reduce_bytes = 2;  ///< for each gradient on the wire

    // What it saves of a layer for the backward pass: bytes for each token, over all tensor ranks.
    double saved_hidden = 10; ///< x hidden, whole on each tensor rank unless sequence parallel
    double saved_heads = 2;   ///< x width of queries, keys and values, split over tensor ranks
    double saved_ffn = 4;     ///< x ffn, split over tensor ranks
    double saved_gated = 6;   ///< the same where the model is gated
    double logits_bytes = 4;  ///< x vocabulary, saved by the loss
    double loss_bytes = 0;    ///< x vocabulary, besides while the loss is computed
    double kept_bytes = 0;    ///< x hidden for each token, from step to step, with tensor ranks
    double ahead_bytes = 0;   ///< x hidden for each token, with tensor ranks: blocks of calls that
                              ///< the host has launched and the device has yet to make
    double workspace_bytes = 0;      ///< that libraries keep from step to step
    bool reports_peak = true;        ///< false: what it prints as allocated is between steps
    bool prints_first_stage = false; ///< false: prints the stage that needs most

    // What it does.
    bool shards_gradients = false;   ///< reduce-scatter in ZeRO 1, not all-reduce
    bool broadcasts_weights = false; ///< ZeRO 1: each rank in turn is sent its gradients, and
                                     ///< sends its weights
    bool blocking_transfers = true;  ///< compute waits for sends between pipeline stages
    bool scatters_transfers = false; ///< tensor ranks send a part each
    bool causal_attention = false;   ///< fused attention leaves masked blocks out
    bool keeps_shard_copy = true;    ///< ZeRO 3: a shard of the 16-bit weights beside the fp32 ones
    bool gathers_again = true;       ///< sequence parallelism: inputs for the weight gradients
    /// sequence parallelism: collectives of tensor ranks go behind products, but for the first and
    /// the last chunk of rows (parallel/divided_linear.hpp)
    bool hides_tensor_calls = false;
    bool hides_renewed_weights = false; ///< ZeRO 1 and 2: gathered behind the next forward passes
    bool recomputes_attention = false;  ///< selective recomputation runs fused attention again
    bool reduces_each_step = false;     ///< ZeRO 2: gradients of each micro-step
    bool gathers_lists = false;         ///< ZeRO 3: what each rank sends is copied by itself
    bool slices_tensors = false;        ///< ZeRO 1: cuts each tensor, not one flat buffer
    bool splits_by_cost = false;        ///< pipeline stages count the output layer by its work
    double optimizer_traffic = 30;      ///< bytes that an update moves for each parameter
    double bucket_bytes = 1e9;          ///< of one collective call over data ranks; 0: one a layer
    /// ZeRO 3: nothing is gathered ahead while a rank holds as many parameters gathered
    double live_parameters = std::numeric_limits<double>::infinity();
    double gather_calls = 1;  ///< in which ZeRO 3 gathers the weights of a layer
    double context_bytes = 0; ///< on the device outside the allocator

    StackConstants constants;
};

} // namespace trireme::framework::planning
