#include "framework/planning/own_time.hpp"

#include <algorithm>
#include <functional>

#include "cluster/error.hpp"
#include "framework/planning/calibration.hpp"
#include "framework/planning/real.hpp"
#include "framework/planning/stage_plan.hpp"
#include "parallel/layer_split.hpp"
#include "parallel/pipeline_simulation.hpp"

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

planning::Recompute recompute_of(parallelize::Recompute recompute) {
    switch (recompute) {
    case parallelize::Recompute::full: return planning::Recompute::full;
    case parallelize::Recompute::selective: return planning::Recompute::selective;
    case parallelize::Recompute::none: break;
    }
    return planning::Recompute::none;
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
StepTime simulated(Workload w, std::function<StepTime(Workload const&)> const& time_of) {
    std::int64_t const steps = w.micro_batches, stages = w.layout.pipeline;
    std::int64_t const first = 2 * stages + steps % stages;
    if (steps <= first + stages) return time_of(w);
    w.micro_batches = first;
    auto const few = time_of(w);
    w.micro_batches = first + stages;
    auto const more = time_of(w);
    return extrapolated(few, more,
                        static_cast<double>(steps - first) / static_cast<double>(stages));
}

parallel::PartTimes part_times(PassTimes const& t, double times) {
    return {times * t.forward, times * t.input_gradient, times * t.weight_gradient};
}

std::size_t part_of_last_layer(std::vector<std::int64_t> const& layers_of_parts) {
    std::size_t part = layers_of_parts.size() - 1;
    while (part > 0 && layers_of_parts[part] == 0) --part;
    return part;
}

/// Times the schedule, whose parts were measured. Ranks wait for each other at the norm, so that
/// what follows is that of the slowest stage.
StepTime measured_time(Workload const& w, BlockTimes const& t, double transfer) {
    auto const& l = w.layout;
    std::vector<parallel::PartTimes> parts;
    std::vector<PassTimes> sums(static_cast<std::size_t>(l.pipeline)); // of stages
    std::vector<TailTimes> tails(sums.size());
    auto const add = [&](std::size_t part, PassTimes const& block, double times) {
        auto const times_of = part_times(block, times);
        parts[part].forward += times_of.forward;
        parts[part].input_gradient += times_of.input_gradient;
        parts[part].weight_gradient += times_of.weight_gradient;
        auto& sum = sums[part % sums.size()];
        sum.forward += times * block.all();
        sum.tensor += times * block.tensor, sum.data += times * block.data;
    };
    for (std::size_t part = 0; part < l.parts.size(); ++part) {
        parts.push_back({0, 0, 0});
        bool const ends = part == part_of_last_layer(l.parts);
        add(part, t.layer, real(l.parts[part] - (ends ? 1 : 0)));
        if (ends) add(part, t.last_layer, 1);
        auto& tail = tails[part % tails.size()];
        tail.data += real(l.parts[part]) * t.layer_tail.data;
        tail.update += real(l.parts[part]) * t.layer_tail.update;
    }
    add(0, t.embeddings, 1);
    add(parts.size() - 1, t.head, 1);
    tails.front() += t.first_tail;
    // Tied ends of one stage are one matrix.
    if (l.pipeline > 1 || !w.model.tied) tails.back() += t.last_tail;
    for (auto& part : parts) part.forward += transfer, part.input_gradient += transfer;
    auto const passes = parallel::simulate(schedule_of(w), parts, 0).makespan;
    auto const busiest = *std::ranges::max_element(sums, {}, &PassTimes::forward);
    auto const tail =
        *std::ranges::max_element(tails, {}, [](TailTimes const& x) { return x.data + x.update; });
    double const steps = real(w.micro_batches), busy = steps * busiest.forward;
    StepTime time;
    time.tensor_exposed = steps * busiest.tensor;
    time.pipeline_exposed = 2 * steps * real(l.chunks) * transfer;
    time.bubble = std::max(0.0, passes - busy - time.pipeline_exposed);
    time.data_exposed = steps * busiest.data + tail.data;
    time.compute = busy - time.tensor_exposed - steps * busiest.data;
    time.optimizer = tail.update;
    time.step = passes + tail.data + tail.update;
    return time;
}

/// One message between stages; compute waits for it, since a CPU does both.
double measured_transfer(Workload const& w, Machine const& machine) {
    auto const& l = w.layout;
    if (l.pipeline == 1) return 0;
    double const bytes =
        w.element_bytes * real(w.micro_batch * w.sequence * w.model.hidden) / real(l.tensor);
    auto const seconds =
        collective_seconds(*machine.calibration,
                           {cluster::Collective::exchange, 2, machine.nodes > 1 ? 2 : 1, bytes, 0});
    if (!seconds)
        throw cluster::InputError("calibration: no measured exchange: legal: a machine's file of "
                                  "`trireme calibrate` on two ranks or more");
    return *seconds;
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
            .bf16 = true,
            .element_bytes = plan.layout.compute == parallelize::Compute::bf16   ? 2.0
                             : plan.layout.compute == parallelize::Compute::fp32 ? 4.0
                                                                                 : 8.0};
}

StepTime own_time(OwnRun const& run, OwnPlan const& plan, Machine const& machine,
                  Stack const& stack, BlockTimes const* measured) {
    Workload const w = workload_of(run, plan);
    double const transfer = measured ? measured_transfer(w, machine) : 0;
    StepTime time = simulated(w, [&](Workload const& some) {
        return measured ? measured_time(some, *measured, transfer)
                        : predict_time(some, stack, machine);
    });
    if (plan.layout.host_state) {
        double const own = stage_parameters(w, stack, 0) / static_cast<double>(w.layout.shard);
        double const moved = kOffloadBytes * own / kHostLink;
        time.optimizer += moved;
        time.step += moved;
    }
    return time;
}

} // namespace trireme::framework::planning
