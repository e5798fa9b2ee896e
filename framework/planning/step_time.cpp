#include <algorithm>
#include <cmath>

#include "framework/planning/collective_cost.hpp"
#include "framework/planning/kernels.hpp"
#include "framework/planning/layer_cost.hpp"
#include "framework/planning/real.hpp"
#include "framework/planning/stage_plan.hpp"
#include "parallel/pipeline_simulation.hpp"

namespace trireme::framework::planning {

namespace {

/// Seconds in which a loop without Python starts the copy of a slice that a call sends.
constexpr double kSliceCopy = 5e-6;

/// Returns what is left of `seconds` of traffic after `compute` hid its part.
double exposed(double seconds, double compute, double overlap) {
    return std::max(seconds - overlap * compute, (1 - overlap) * seconds);
}

/// ZeRO 3: layers' weights are gathered before both passes, and their gradients reduced.
struct LayerTraffic {
    double gather = 0, reduce = 0;
    double lists = 0;  ///< of the host, for each of the three
    bool ahead = true; ///< weights are gathered while others compute
};

LayerTraffic layer_traffic(Setting const& s) {
    auto const& w = s.workload;
    if (w.layout.zero < 3) return {};
    double const t = real(w.layout.tensor), weights = w.model.layer_parameters() / t;
    double const calls = s.stack.gather_calls, ranks = real(w.layout.shard);
    return {all_gather_seconds(s.shard_group(), s.machine, 2 * weights, calls),
            all_gather_seconds(s.shard_group(), s.machine, s.stack.reduce_bytes * weights, calls),
            s.stack.gathers_lists ? calls * ranks * kSliceCopy : 0,
            w.model.largest_weight() / t < s.stack.live_parameters};
}

double exposed_forward(LayerTraffic const& traffic, double compute, double overlap) {
    return exposed(traffic.gather, compute, traffic.ahead ? overlap : 0) + traffic.lists;
}

double exposed_backward(LayerTraffic const& traffic, double compute, double overlap) {
    double const hidden = traffic.reduce + (traffic.ahead ? traffic.gather : 0);
    double const waited = traffic.ahead ? 0 : traffic.gather;
    return waited + exposed(hidden, compute, overlap) + 2 * traffic.lists;
}

/// A layer's passes, recomputation and ZeRO 3 included.
struct LayerSeconds {
    double forward = 0, input_gradient = 0, weight_gradient = 0;
    double collective = 0, data = 0; ///< of both passes, exposed
};

LayerSeconds layer_seconds(Setting const& s, Setting const& data) {
    auto const& w = s.workload;
    PartCost cost = layer_cost(s);
    if (w.layout.recompute == Recompute::full) cost.input_gradient += cost.forward;
    LayerTraffic const traffic = layer_traffic(data);
    double const overlap = s.stack.constants.overlap;
    double const backward = cost.input_gradient.seconds() + cost.weight_gradient.seconds();
    double const before = exposed_forward(traffic, cost.forward.seconds(), overlap);
    double const after = exposed_backward(traffic, backward, overlap);
    return {cost.forward.seconds() + before, cost.input_gradient.seconds() + after,
            cost.weight_gradient.seconds(),
            cost.forward.collective + cost.input_gradient.collective, before + after};
}

std::vector<parallel::PartTimes> part_times(Setting const& s, LayerSeconds const& layer) {
    auto const layers = layers_of_parts(s.workload, s.stack);
    std::vector<parallel::PartTimes> parts;
    for (auto const n : layers)
        parts.push_back({real(n) * layer.forward, real(n) * layer.input_gradient,
                         real(n) * layer.weight_gradient});
    auto const add = [](parallel::PartTimes& part, PartCost const& cost) {
        part.forward += cost.forward.seconds();
        part.input_gradient += cost.input_gradient.seconds();
        part.weight_gradient += cost.weight_gradient.seconds();
    };
    add(parts.front(), embedding_cost(s));
    add(parts.back(), head_cost(s));
    return parts;
}

/// Activations of a micro-batch to the next stage.
double stage_transfer(Setting const& s) {
    auto const& l = s.workload.layout;
    if (l.pipeline == 1) return 0;
    bool const split = l.sequence_parallel || s.stack.scatters_transfers;
    double const bytes = 2 * s.tokens() * real(s.workload.model.hidden);
    double const sent = transfer_seconds(l.tensor * l.context * l.data, s.machine,
                                         split ? bytes / real(l.tensor) : bytes);
    return sent + s.stack.constants.host_collective;
}

/// Collective calls over data ranks, of a stage's parameters.
double calls_of(Setting const& s, double bytes) {
    auto const& w = s.workload;
    if (s.stack.bucket_bytes > 0) return std::max(1.0, bytes / s.stack.bucket_bytes);
    return std::ceil(real(w.model.layers) / real(w.layout.pipeline)) + 1;
}

/// Gradients of data ranks.
double data_seconds(Setting const& s, double parameters) {
    auto const& l = s.workload.layout;
    double const bytes = s.stack.reduce_bytes * parameters;
    double const calls = calls_of(s, bytes);
    if (l.zero >= 1 && s.stack.broadcasts_weights && l.shard == s.data_group().size)
        return all_gather_seconds(s.data_group(), s.machine, bytes, real(l.shard));
    if (l.zero >= 1 && s.stack.shards_gradients)
        return all_gather_seconds(s.shard_group(), s.machine, bytes, calls);
    return all_reduce_seconds(s.data_group(), s.machine, bytes, calls);
}

/// Sums of shards over those that have the same one.
double replica_seconds(Setting const& s, double parameters) {
    auto const& l = s.workload.layout;
    if (l.zero == 0 || (l.zero < 3 && !s.stack.shards_gradients)) return 0;
    double const bytes = s.stack.reduce_bytes * parameters / real(l.shard);
    return all_reduce_seconds(s.replica_group(), s.machine, bytes, calls_of(s, bytes));
}

/// `forward`: seconds of a stage's forward passes of one micro-step.
double spread_seconds(Setting const& s, double parameters, double forward) {
    auto const& l = s.workload.layout;
    if (l.zero != 1 && l.zero != 2) return 0;
    double const bytes = s.stack.weight_bytes * parameters;
    double const calls = s.stack.broadcasts_weights ? real(l.shard) : calls_of(s, bytes);
    double const all = all_gather_seconds(s.shard_group(), s.machine, bytes, calls);
    return s.stack.hides_renewed_weights ? exposed(all, forward, s.stack.constants.overlap) : all;
}

/// Tensors of a layer: four products and two norms.
constexpr double kLayerTensors = 6;

/// Copies where ZeRO 1 cuts each tensor over the ranks: a slice for each of them is sent when
/// gradients are summed, and another when weights are gathered.
double slice_seconds(Setting const& s) {
    auto const& l = s.workload.layout;
    if (l.zero != 1 || l.shard == 1 || !s.stack.slices_tensors) return 0;
    double const layers = real(s.workload.model.layers) / real(l.pipeline);
    return 2 * kLayerTensors * layers * real(l.shard) * kSliceCopy;
}

/// Seconds of the first stage's forward passes of a micro-step.
double forward_of_first(Layout const& l, std::vector<parallel::PartTimes> const& parts) {
    double sum = 0;
    for (std::size_t i = 0; i < parts.size(); i += static_cast<std::size_t>(l.pipeline))
        sum += parts[i].forward;
    return sum;
}

double update_seconds(Setting const& s, double parameters) {
    auto const& l = s.workload.layout;
    double const own = parameters / (l.zero >= 1 ? real(l.shard) : 1);
    double const whole = l.zero >= 2 ? own : parameters;
    // Gradients are zeroed, scaled and measured whole.
    return memory_seconds(s.machine.gpu,
                          s.stack.optimizer_traffic * own + 3 * s.stack.gradient_bytes * whole);
}

/// Zero-bubble schedules update without waiting for the others: a step takes what the busiest
/// stage takes from its first action to its last.
double schedule_seconds(parallel::Simulation const& run, PipelineKind kind) {
    if (kind != PipelineKind::zero_bubble_1p && kind != PipelineKind::zero_bubble_2p)
        return run.makespan;
    double longest = 0;
    for (auto const& spans : run.spans)
        longest = std::max(longest, spans.back().end - spans.front().begin);
    return longest;
}

} // namespace

StepTime predict_time(Workload const& w, Stack const& stack, Machine const& machine) {
    Machine slowed = machine; // as traffic of data ranks finds it
    slowed.network.fed = stack.constants.network_use;
    Setting const s{w, stack, machine}, data{w, stack, slowed};
    auto const& l = w.layout;
    LayerSeconds const layer = layer_seconds(s, data);
    auto parts = part_times(s, layer);
    double const transfer = stage_transfer(s);
    double busiest = 0;
    for (std::int64_t stage = 0; stage < l.pipeline; ++stage) {
        double one = 0;
        for (std::size_t i = static_cast<std::size_t>(stage); i < parts.size();
             i += static_cast<std::size_t>(l.pipeline))
            one += parts[i].forward + parts[i].input_gradient + parts[i].weight_gradient;
        busiest = std::max(busiest, one);
    }
    double const blocked = stack.blocking_transfers ? transfer : 0;
    for (auto& part : parts) part.forward += blocked, part.input_gradient += blocked;
    auto const run = parallel::simulate(schedule_of(w), parts, transfer - blocked);
    double const passes = schedule_seconds(run, l.schedule);

    double parameters = 0;
    for (std::int64_t stage = 0; stage < l.pipeline; ++stage)
        parameters = std::max(parameters, stage_parameters(w, stack, stage));
    StepTime time;
    double const steps = real(w.micro_batches), chunks = real(l.chunks);
    double const layers = real(w.model.layers) / real(l.pipeline);
    time.tensor_exposed = steps * layers * layer.collective;
    time.pipeline_exposed = 2 * steps * chunks * blocked;
    double const busy = steps * busiest;
    time.bubble = passes - busy - time.pipeline_exposed;
    if (std::abs(time.bubble) < 1e-12 * passes) time.bubble = 0; // rounding, which may be below 0
    double const layer_data = steps * layers * layer.data;
    time.compute = busy - time.tensor_exposed - layer_data;
    double const last = parts.front().input_gradient + parts.front().weight_gradient;
    double const reduce = l.zero >= 3 ? 0 : data_seconds(data, parameters);
    double const reductions = l.zero == 2 && stack.reduces_each_step ? steps : 1;
    time.data_exposed = layer_data + reductions * exposed(reduce, last, stack.constants.overlap) +
                        replica_seconds(data, parameters) +
                        spread_seconds(data, parameters, forward_of_first(l, parts)) +
                        slice_seconds(data);
    time.optimizer = update_seconds(s, parameters);
    time.other = stack.constants.step;
    time.step = passes + time.data_exposed - layer_data + time.optimizer + time.other;
    return time;
}

} // namespace trireme::framework::planning
