#include "framework/planning/traffic.hpp"

#include <fmt/format.h>

#include <memory>
#include <numeric>

#include "framework/parallelize/layout_check.hpp"
#include "framework/parallelize/parallel_model.hpp"
#include "framework/planning/dry_step.hpp"
#include "framework/tasks/task.hpp"
#include "parallel/dry_world.hpp"
#include "parallel/micro_batch_ranks.hpp"

namespace trireme::framework::planning {

namespace {

/// A micro-batch of such samples; what its tokens and labels are changes no shape.
data::MicroBatch micro_batch_of(std::vector<std::int64_t> const& samples,
                                std::vector<std::int64_t> const& lengths,
                                model::Config const& model, std::int64_t token_multiple) {
    data::MicroBatch micro_batch;
    micro_batch.offsets.push_back(0);
    for (auto const sample : samples) {
        auto const length = static_cast<std::size_t>(lengths.at(static_cast<std::size_t>(sample)));
        for (std::size_t t = 0; t < length; ++t)
            micro_batch.positions.push_back(static_cast<std::int32_t>(t));
        micro_batch.offsets.push_back(static_cast<std::int64_t>(micro_batch.positions.size()));
        micro_batch.sample_ids.push_back(sample);
    }
    micro_batch.tokens.assign(micro_batch.positions.size(), 0);
    micro_batch.segments.assign(micro_batch.positions.size(), 0);
    for (auto const& column : tasks::read_by(model.head).columns) {
        std::int64_t const width = column.width_for(std::ssize(model.labels));
        std::size_t const entries = column.per == data::Per::token ? micro_batch.tokens.size()
                                                                   : micro_batch.sample_ids.size();
        std::size_t const values = entries * static_cast<std::size_t>(width);
        if (column.values == data::Values::reals)
            micro_batch.columns.append(column, width, std::vector<float>(values));
        else
            micro_batch.columns.append(column, width, std::vector<std::int32_t>(values));
    }
    data::fill_up(micro_batch, token_multiple);
    return micro_batch;
}

std::vector<std::vector<std::int64_t>> micro_batches_of(StepDescription const& step) {
    std::vector<std::int64_t> samples(step.lengths.size());
    std::iota(samples.begin(), samples.end(), 0);
    return data::cut_into_micro_batches(samples, step.lengths,
                                        {static_cast<std::int64_t>(samples.size()),
                                         step.tokens_per_micro_batch,
                                         step.mesh[parallel::Axis::tensor]});
}

} // namespace

std::string to_text(Traffic const& traffic) {
    std::string text;
    for (auto const& [key, tally] : traffic)
        text += fmt::format("{} {}: {} calls, {} elements, {} bytes\n", key.first,
                            name_of(key.second), tally.calls, tally.elements, tally.bytes);
    return text;
}

void TrafficCounter::on_start(std::string_view group, cluster::CallRecord const& call) {
    Tally& tally = traffic_[{std::string(group), call.op}];
    tally.calls += 1;
    tally.elements += static_cast<std::int64_t>(call.count);
    tally.bytes += static_cast<std::int64_t>(call.bytes_on_wire);
}

DryStep dry_step(model::Config const& model, StepDescription const& step,
                 parallel::Mesh const& mesh, at::Device device) {
    auto const all = micro_batches_of(step);
    DryStep dry{.micro_batches = std::ssize(all)};
    for (auto const& samples :
         parallel::own_micro_batches(all, mesh.data().rank(), mesh.data().size()))
        dry.passes.push_back(model::make_pass(
            micro_batch_of(samples, step.lengths, model, step.mesh[parallel::Axis::tensor]), true,
            0, 0, 1.0, device));
    return dry;
}

StepDescription even_step(model::Config const& model, parallelize::ParallelSection const& section,
                          parallelize::NumericsSection const& numerics, EvenBatch const& batch,
                          int ranks) {
    StepDescription step{.mesh = parallelize::mesh_shape(section, ranks),
                         .section = section,
                         .numerics = numerics,
                         .tokens_per_micro_batch = batch.tokens_per_micro_batch,
                         .lengths =
                             std::vector(static_cast<std::size_t>(batch.samples), batch.length)};
    parallelize::check_layout(model, step.mesh, section);
    return step;
}

Traffic predict(model::Config const& model, StepDescription const& step, int rank) {
    auto const counter = std::make_shared<TrafficCounter>();
    auto const world = parallel::make_dry_world(step.mesh, rank, {.observer = counter});
    parallel::Mesh const mesh(*world, step.mesh);
    parallelize::ParallelModel parallel(model, mesh, step.section, step.numerics, true, at::kMeta);
    if (step.base) parallel.keep_base(1.0, step.section, step.numerics);
    DryStep dry = dry_step(model, step, mesh);
    parallel.load(std::move(dry.passes));
    parallel.refresh(); // by the step before: ZeRO 1 and 2 gather in the passes
    counter->clear();
    parallel.queue(dry.micro_batches);
    parallel.engine().losses();
    parallel.refresh();
    return counter->traffic();
}

} // namespace trireme::framework::planning
