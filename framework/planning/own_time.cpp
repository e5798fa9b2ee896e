#include "framework/planning/own_time.hpp"

#include "framework/planning/stage_plan.hpp"
#include "parallel/layer_split.hpp"

namespace trireme::framework::planning {

namespace {

using parallel::Axis;

/// Bytes per second of a GPU's link to its host, PCIe 4 x16: assumed.
constexpr double kHostLink = 20e9;
/// Bytes of optimizer state that an offloaded update moves for each parameter: master and two
/// moments, there and back.
constexpr double kOffloadBytes = 24;

PipelineKind kind_of(parallelize::ParallelSection const& section) {
    if (section.pipeline == 1) return PipelineKind::none;
    switch (section.schedule) {
    case parallel::ScheduleKind::gpipe: return PipelineKind::gpipe;
    case parallel::ScheduleKind::interleaved: return PipelineKind::interleaved;
    case parallel::ScheduleKind::zero_bubble: return PipelineKind::zero_bubble_1p;
    case parallel::ScheduleKind::one_f_one_b: break;
    }
    return PipelineKind::one_f_one_b;
}

Recompute recompute_of(parallelize::Recompute recompute) {
    switch (recompute) {
    case parallelize::Recompute::full: return Recompute::full;
    case parallelize::Recompute::selective: return Recompute::selective;
    case parallelize::Recompute::none: break;
    }
    return Recompute::none;
}

std::vector<std::int64_t> parts_of(OwnLayout const& l) {
    auto const parts = parallel::layers_of_parts(l.layers, l.mesh[Axis::pipeline],
                                                 l.section.virtual_stages, l.section.layers);
    return {parts.begin(), parts.end()};
}

Layout layout_of(OwnLayout const& l) {
    auto const& s = l.section;
    std::int64_t const shard = l.mesh[Axis::shard];
    return {.tensor = l.mesh[Axis::tensor],
            .data = l.mesh[Axis::replicate] * shard,
            .pipeline = l.mesh[Axis::pipeline],
            .chunks = s.virtual_stages,
            .shard = s.zero > 0 ? shard : 1,
            .zero = s.zero,
            .sequence_parallel = l.mesh[Axis::tensor] > 1,
            .schedule = kind_of(s),
            .recompute = recompute_of(s.recompute),
            .parts = parts_of(l)};
}

/// Goes on from two steps as the difference between them says.
StepTime extrapolated(StepTime a, StepTime const& b, double periods) {
    for (auto const field : {&StepTime::step, &StepTime::compute, &StepTime::tensor_exposed,
                             &StepTime::pipeline_exposed, &StepTime::bubble,
                             &StepTime::data_exposed, &StepTime::optimizer, &StepTime::other})
        a.*field += periods * (b.*field - a.*field);
    return a;
}

/// A schedule repeats itself every `stages` micro-steps, once all stages have begun.
StepTime simulated(Workload w, Stack const& stack, Machine const& machine) {
    std::int64_t const steps = w.micro_batches, stages = w.layout.pipeline;
    std::int64_t const first = 2 * stages + steps % stages;
    if (steps <= first + stages) return predict_time(w, stack, machine);
    w.micro_batches = first;
    auto const few = predict_time(w, stack, machine);
    w.micro_batches = first + stages;
    auto const more = predict_time(w, stack, machine);
    return extrapolated(few, more,
                        static_cast<double>(steps - first) / static_cast<double>(stages));
}

} // namespace

ModelShape shape_of(model::Config const& m) {
    return {.hidden = m.hidden,
            .layers = m.layers,
            .heads = m.heads,
            .kv_heads = m.kv_heads,
            .head_dim = m.head_size,
            .ffn = m.feed_forward,
            .vocabulary = m.outputs() > m.vocabulary ? m.outputs() : m.vocabulary,
            .gated = m.gated,
            .tied = m.tied_embeddings};
}

Workload workload_of(OwnRun const& run, OwnPlan const& plan) {
    return {.model = run.model,
            .layout = layout_of(plan.layout),
            .sequence = run.sequence,
            .micro_batch = plan.micro_batch,
            .micro_batches = plan.layout.micro_steps,
            .flash_attention = true,
            .fp32_gradients = true,
            .bf16 = true};
}

StepTime own_time(OwnRun const& run, OwnPlan const& plan, Machine const& machine,
                  Stack const& stack) {
    Workload const w = workload_of(run, plan);
    StepTime time = simulated(w, stack, machine);
    if (plan.layout.host_state) {
        double const own = stage_parameters(w, stack, 0) / static_cast<double>(w.layout.shard);
        double const moved = kOffloadBytes * own / kHostLink;
        time.optimizer += moved;
        time.step += moved;
    }
    return time;
}

} // namespace trireme::framework::planning
