#include "framework/planning/stage_plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "cluster/error.hpp"

namespace trireme::framework::planning {

namespace {

using Parts = std::vector<std::int64_t>;
using Kind = parallel::Action::Kind;

/// A part takes layers until it has done its share of the work; the output layer works too.
Parts split_by_cost(ModelShape const& model, std::size_t parts) {
    double const layer = model.layer_parameters(), head = model.embedding_parameters();
    double const all = static_cast<double>(model.layers) * layer + head;
    Parts result(parts);
    std::size_t part = 0;
    double done = 0;
    for (std::int64_t i = 0; i < model.layers; ++i) {
        ++result[part];
        done += layer;
        if (done >= all * static_cast<double>(part + 1) / static_cast<double>(parts) &&
            part + 1 < parts)
            ++part;
    }
    return result;
}

/// Embedding and head count as a layer each.
Parts split_with_ends(std::int64_t layers, std::int64_t parts) {
    Parts result(static_cast<std::size_t>(parts), (layers + 2) / parts);
    --result.front();
    --result.back();
    return result;
}

Parts split_equally(std::int64_t layers, std::int64_t parts) {
    Parts result;
    std::int64_t const most = (layers + parts - 1) / parts;
    for (std::int64_t i = 0; i < parts; ++i)
        result.push_back(std::clamp<std::int64_t>(layers - i * most, 0, most));
    return result;
}

/// ZB-H2: stage s starts with 2 (stages - s) - 1 forward passes, puts weight gradients off until
/// 2 stages - 1 activations are held, and then does one of each kind in turn.
parallel::StageActions zero_bubble_2p(std::int64_t stages, std::int64_t steps, std::int64_t stage) {
    parallel::StageActions list;
    std::int64_t forward = 0, backward = 0, weight = 0;
    auto const run = [&list](Kind kind, std::int64_t& step) { list.push_back({kind, step++, 0}); };
    while (forward < std::min(steps, 2 * (stages - stage) - 1)) run(Kind::forward, forward);
    while (weight < steps) {
        if (backward < steps) run(Kind::input_gradient, backward);
        if (backward - weight > 2 * stage || backward == steps) run(Kind::weight_gradient, weight);
        if (forward < steps) run(Kind::forward, forward);
    }
    return list;
}

parallel::ScheduleKind kind_of(PipelineKind kind) {
    switch (kind) {
    case PipelineKind::interleaved: return parallel::ScheduleKind::interleaved;
    case PipelineKind::zero_bubble_1p:
    case PipelineKind::zero_bubble_2p: return parallel::ScheduleKind::zero_bubble;
    case PipelineKind::gpipe: return parallel::ScheduleKind::gpipe;
    case PipelineKind::none:
    case PipelineKind::one_f_one_b: break;
    }
    return parallel::ScheduleKind::one_f_one_b;
}

} // namespace

std::vector<std::int64_t> layers_of_parts(Workload const& workload, Stack const& stack) {
    auto const& l = workload.layout;
    std::int64_t const layers = workload.model.layers, parts = l.pipeline * l.chunks;
    if (parts > layers + (parts > 1 ? 2 : 0))
        throw cluster::InputError(fmt::format(
            "pipeline: {} stages x {} chunks: legal: at most the {} layers and two more",
            l.pipeline, l.chunks, layers));
    if (!l.parts.empty()) return l.parts;
    if (stack.splits_by_cost && parts > 1)
        return split_by_cost(workload.model, static_cast<std::size_t>(parts));
    if (layers % parts != 0 && (layers + 2) % parts == 0) return split_with_ends(layers, parts);
    return split_equally(layers, parts);
}

double stage_parameters(Workload const& workload, Stack const& stack, std::int64_t stage) {
    auto const& l = workload.layout;
    auto const parts = layers_of_parts(workload, stack);
    std::int64_t layers = 0;
    for (std::size_t i = static_cast<std::size_t>(stage); i < parts.size();
         i += static_cast<std::size_t>(l.pipeline))
        layers += parts[i];
    double const embedding = workload.model.embedding_parameters();
    bool const first = stage == 0, last = stage == l.pipeline - 1;
    double const ends = (first ? 1 : 0) + (last && !(first && workload.model.tied) ? 1 : 0);
    return (static_cast<double>(layers) * workload.model.layer_parameters() + ends * embedding) /
           static_cast<double>(l.tensor);
}

std::vector<parallel::StageActions> schedule_of(Workload const& w) {
    auto const& l = w.layout;
    if (l.schedule != PipelineKind::zero_bubble_2p || l.pipeline == 1)
        return parallel::make_schedule(kind_of(l.schedule), static_cast<int>(l.pipeline),
                                       static_cast<int>(l.chunks), w.micro_batches);
    std::vector<parallel::StageActions> lists;
    for (std::int64_t stage = 0; stage < l.pipeline; ++stage)
        lists.push_back(zero_bubble_2p(l.pipeline, w.micro_batches, stage));
    return lists;
}

std::int64_t chunks_in_flight(parallel::ScheduleKind schedule, PipelineParts parts,
                              std::int64_t stage, std::int64_t micro_steps) {
    auto const [stages, chunks] = parts;
    switch (schedule) {
    case parallel::ScheduleKind::gpipe: return micro_steps;
    case parallel::ScheduleKind::zero_bubble: return std::min(stages, micro_steps);
    case parallel::ScheduleKind::interleaved:
        return std::min(2 * (stages - stage - 1) + (chunks - 1) * stages + 1, chunks * micro_steps);
    case parallel::ScheduleKind::one_f_one_b: break;
    }
    return std::min(stages - stage, micro_steps);
}

double micro_batches_in_flight(Workload const& w, std::int64_t stage) {
    auto const& l = w.layout;
    if (l.schedule == PipelineKind::zero_bubble_2p)
        return static_cast<double>(std::min(w.micro_batches, 2 * l.pipeline - 1));
    std::int64_t const chunks = l.schedule == PipelineKind::interleaved ? l.chunks : 1;
    auto const held =
        chunks_in_flight(kind_of(l.schedule), {l.pipeline, chunks}, stage, w.micro_batches);
    return static_cast<double>(held) / static_cast<double>(chunks);
}

} // namespace trireme::framework::planning
