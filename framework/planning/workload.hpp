// Describes a step of training as numbers: a dense transformer, its layout over ranks, the batch.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "parallel/pipeline_schedule.hpp"

namespace trireme::framework::planning {

struct ModelShape {
    std::int64_t hidden = 0, layers = 0, heads = 0, kv_heads = 0, head_dim = 0, ffn = 0;
    std::int64_t vocabulary = 0;
    bool gated = false; ///< two up projections, as in SwiGLU
    bool tied = false;  ///< input and output embeddings are one

    std::int64_t attention_width() const { return heads * head_dim; }
    std::int64_t kv_width() const { return kv_heads * head_dim; }
    /// Of one layer, norms and biases left out.
    double layer_parameters() const;
    /// Elements of the first projection of the MLP, both halves where gated.
    double largest_weight() const;
    double embedding_parameters() const;
    double parameters() const;
};

enum class Recompute : std::uint8_t { none, selective, full };

enum class PipelineKind : std::uint8_t {
    none,
    one_f_one_b,
    interleaved,
    zero_bubble_1p, ///< ZB-H1: memory of 1F1B
    zero_bubble_2p, ///< ZB-H2: twice that memory
    gpipe
};

/// Ranks are placed with tensor innermost, then context, data and pipeline.
struct Layout {
    std::int64_t tensor = 1, context = 1, data = 1, pipeline = 1;
    std::int64_t chunks = 1; ///< virtual stages of a rank
    std::int64_t shard = 1;  ///< ranks over which ZeRO cuts; divides data x context
    int zero = 0;
    bool sequence_parallel = false;
    PipelineKind schedule = PipelineKind::none;
    Recompute recompute = Recompute::none;
    /// Layers of each of the stages x chunks parts; empty: as the stack cuts them.
    std::vector<std::int64_t> parts = {};

    std::int64_t ranks() const { return tensor * context * data * pipeline; }
};

struct Workload {
    ModelShape model;
    Layout layout;
    std::int64_t sequence = 0;      ///< tokens
    std::int64_t micro_batch = 1;   ///< sequences of one micro-step of a rank
    std::int64_t micro_batches = 1; ///< micro-steps of a rank in a step
    bool flash_attention = true;
    bool fp32_gradients = false; ///< gradients are added up and reduced in fp32
    bool bf16 = true;            ///< false: fp16
    double element_bytes = 2;    ///< of what travels between stages of our own runs

    /// Counts those of one micro-batch on one context rank.
    double tokens() const;
};

} // namespace trireme::framework::planning
