#include <algorithm>

#include "framework/planning/real.hpp"
#include "framework/planning/stage_plan.hpp"

namespace trireme::framework::planning {

namespace {

struct Saved {
    double whole = 0; ///< bytes of a layer and micro-batch for its backward pass
    double input = 0; ///< that full recomputation keeps
};

/// Korthikanti et al. 2022, table 2, with the widths of grouped queries and gated layers.
Saved saved_by_layer(Workload const& w, Stack const& stack) {
    auto const& m = w.model;
    double const t = real(w.layout.tensor);
    double const tokens = w.tokens();
    double const rows = tokens * real(m.hidden) / (w.layout.sequence_parallel ? t : 1);
    double const heads = real(m.attention_width() + 2 * m.kv_width()) * stack.saved_heads +
                         2 * real(m.attention_width());
    double const ffn = real(m.ffn) * (m.gated ? stack.saved_gated : stack.saved_ffn);
    bool const scores = !w.flash_attention && w.layout.recompute != Recompute::selective;
    double const stored = scores ? 5 * real(m.heads) * real(w.sequence) : 4 * real(m.heads);
    return {stack.saved_hidden * rows + tokens * (heads + ffn + stored) / t, 2 * rows};
}

double activations_of(Workload const& w, Stack const& stack, std::int64_t stage,
                      std::int64_t layers) {
    Saved const saved = saved_by_layer(w, stack);
    double const flying = micro_batches_in_flight(w, stage);
    if (w.layout.recompute == Recompute::full)
        return flying * real(layers) * saved.input + saved.whole;
    return flying * real(layers) * saved.whole;
}

/// Copies of gradients or weights, of `p` parameters, beside those that are added up in fp32.
double copies(Workload const& w, Stack const& stack, double p) {
    auto const& l = w.layout;
    double bytes = 0;
    if (l.data * l.context > 1) bytes += stack.copy_bytes * p / (l.zero >= 1 ? real(l.shard) : 1);
    if (l.zero == 1) bytes += stack.sharded_buffer_bytes * p;
    return bytes;
}

/// Counts blocks that wait for calls which the host has launched and the device has yet to make: a
/// block that a call has used serves again once the call is over. One stage waits for nobody. Of
/// several, each waits for what comes back from the next one; that two are never ahead, and p of
/// them by 1 - 2 / p of what one is, was read off measured runs.
double launched_ahead(Workload const& w, Stack const& stack) {
    auto const& l = w.layout;
    if (l.tensor == 1) return 0;
    double const free_to_run = l.pipeline == 1 ? 1 : 1 - 2 / real(l.pipeline);
    return free_to_run * stack.ahead_bytes * w.tokens() * real(w.model.hidden);
}

MemoryUse stage_memory(Workload const& w, Stack const& stack, std::int64_t stage,
                       std::int64_t layers) {
    auto const& l = w.layout;
    double const p = stage_parameters(w, stack, stage), shard = real(l.shard);
    MemoryUse use;
    use.weights = l.zero < 3               ? stack.weight_bytes * p
                  : stack.keeps_shard_copy ? stack.weight_bytes * p / shard
                                           : 0;
    use.gradients = stack.gradient_bytes * p / (l.zero >= 2 ? shard : 1);
    use.optimizer = stack.optimizer_bytes * p / (l.zero >= 1 ? shard : 1);
    double const in_passes =
        stack.copies_only_between_steps ? stack.weight_bytes * p : copies(w, stack, p);
    use.between_steps = copies(w, stack, p) - in_passes;
    use.buffers = in_passes + (w.fp32_gradients ? stack.fp32_copy_bytes * p : 0);
    if (l.zero >= 3) // weights and gradients of two layers are whole at a time
        use.buffers += 2 * (2 + stack.reduce_bytes) * w.model.layer_parameters() / real(l.tensor);
    double const tokens = w.tokens();
    use.buffers += stack.workspace_bytes;
    if (l.tensor > 1) use.buffers += stack.kept_bytes * tokens * real(w.model.hidden);
    double const largest = stack.largest_bytes * w.model.largest_weight() / real(l.tensor);
    use.activations = activations_of(w, stack, stage, layers) + largest;
    if (stage == l.pipeline - 1)
        use.loss = tokens * real(w.model.vocabulary) / real(l.tensor) *
                   (stack.logits_bytes + stack.loss_bytes);
    // Another block of the size of `largest` stays free at the peak: nothing else fits it.
    use.overhead = stack.constants.fixed_bytes +
                   stack.constants.reserved_overhead * (use.activations + use.loss) + largest +
                   launched_ahead(w, stack);
    return use;
}

} // namespace

std::vector<MemoryUse> predict_stages(Workload const& workload, Stack const& stack) {
    auto const parts = layers_of_parts(workload, stack);
    auto const stages = workload.layout.pipeline;
    std::vector<MemoryUse> result;
    for (std::int64_t stage = 0; stage < stages; ++stage) {
        std::int64_t layers = 0;
        for (std::size_t i = static_cast<std::size_t>(stage); i < parts.size();
             i += static_cast<std::size_t>(stages))
            layers += parts[i];
        result.push_back(stage_memory(workload, stack, stage, layers));
    }
    return result;
}

Prediction predict_step(Workload const& workload, Stack const& stack, Machine const& machine) {
    Prediction result{predict_time(workload, stack, machine), predict_stages(workload, stack)};
    auto const& stages = result.stages;
    auto const most = std::max_element(
        stages.begin(), stages.end(), [](auto& a, auto& b) { return a.reserved() < b.reserved(); });
    result.fullest = static_cast<std::size_t>(most - stages.begin());
    result.printed_stage = stack.prints_first_stage ? 0 : result.fullest;
    result.fits = most->reserved() + stack.context_bytes <= machine.gpu.memory_bytes;
    return result;
}

} // namespace trireme::framework::planning
