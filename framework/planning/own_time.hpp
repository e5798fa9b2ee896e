// The time of a step of our own runs in closed form, for a search over thousands of layouts:
// rooflines, alpha-beta collectives with the traffic of docs/collectives.md, the bubble of the
// schedule. Constants are stated in own_time.cpp.
#pragma once
#include "framework/model/config.hpp"
#include "framework/planning/machine_file.hpp"
#include "framework/planning/own_memory.hpp"

namespace trireme::framework::planning {

/// Seconds of the critical path. They sum up to `step`.
struct StepTime {
    double step = 0;
    double compute = 0;          ///< kernels and host of the busiest stage
    double tensor_exposed = 0;   ///< collectives of tensor and context ranks
    double pipeline_exposed = 0; ///< transfers between stages that compute waits for
    double bubble = 0;           ///< of the busiest stage
    double data_exposed = 0;     ///< gradients and weights of data ranks, not hidden
    double optimizer = 0;
};

struct ModelShape {
    std::int64_t hidden = 0, layers = 0, heads = 0, kv_heads = 0, head_dim = 0, ffn = 0;
    std::int64_t vocabulary = 0;
    bool gated = false; ///< two up projections, as in SwiGLU
    bool tied = false;  ///< input and output embeddings are one

    std::int64_t attention_width() const { return heads * head_dim; }
    std::int64_t kv_width() const { return kv_heads * head_dim; }
};
ModelShape shape_of(model::Config const& model);

/// Facts of a run that no layout changes.
struct OwnRun {
    ModelShape model;
    std::int64_t sequence = 0;     ///< tokens of a sample
    std::int64_t global_batch = 0; ///< samples of a step
};

/// A layout and its micro-batch, in samples.
struct OwnPlan {
    OwnLayout layout;
    std::int64_t micro_batch = 1;
};

/// Seconds of a step by where they go. Local, pure.
StepTime own_time(OwnRun const& run, OwnPlan const& plan, MachineFile const& machine);

} // namespace trireme::framework::planning
