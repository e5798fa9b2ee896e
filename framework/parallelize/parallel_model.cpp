#include "framework/parallelize/parallel_model.hpp"

#include "framework/parallelize/layout_check.hpp"
#include "framework/parallelize/numerics.hpp"

namespace trireme::framework::parallelize {

namespace {

model::PipelineLayout pipeline_layout(model::Config const& model, parallel::Mesh const& mesh,
                                      ParallelSection const& section) {
    check_layout(model, mesh.shape(), section);
    auto const& stages = mesh.along(parallel::Axis::pipeline);
    return {stages.size(), stages.rank(), section.virtual_stages, section.layers};
}

parallel::StoreOptions store_options(parallel::Mesh const& mesh, ParallelSection const& section,
                                     NumericsSection const& numerics, bool gradients,
                                     at::Device device) {
    return {.compute = compute_dtype(numerics.compute),
            .separate_micro_batches = numerics.mode == NumericsMode::bitwise,
            .gradients = gradients,
            .zero = section.zero,
            .place = mesh.place(),
            .device = device,
            .host_state =
                !device.is_cpu() && !device.is_meta() && section.offload == Offload::optimizer};
}

} // namespace

void ParallelModel::load(std::vector<model::Pass> passes) {
    bool const training = !passes.empty() && passes.front().training;
    base_outputs_.assign(base_ && training ? passes.size() : 0, {.weight = base_weight_});
    if (base_) {
        std::vector<model::Pass> theirs;
        for (std::size_t i = 0; i < base_outputs_.size(); ++i) {
            passes[i].base = &base_outputs_[i];
            model::Pass& pass = theirs.emplace_back(passes[i]);
            pass.training = false;
            pass.base = nullptr;
            pass.base_output = &base_outputs_[i];
        }
        base_->parts_.load(std::move(theirs));
    }
    parts_.load(std::move(passes));
}

void ParallelModel::keep_base(double weight, ParallelSection const& section,
                              NumericsSection const& numerics) {
    base_weight_ = weight;
    base_ = std::make_unique<ParallelModel>(config_, mesh_, section, numerics, false,
                                            store_.options().device);
}

void ParallelModel::queue(std::int64_t micro_batches) {
    if (base_) {
        base_->engine_.queue_forward(micro_batches);
        base_->hold_head();
    }
    engine_.queue(micro_batches);
    if (base_) base_->release_head();
    for (auto& output : base_outputs_) output.hidden = at::Tensor();
}

void ParallelModel::hold_head() {
    auto const& stages = mesh_.along(parallel::Axis::pipeline);
    if (stages.rank() + 1 < stages.size()) return;
    auto const& part = *parts_.stages().back();
    for (auto const unit : part.units_read_by(part.block_count() - 1)) gatherer_.acquire(unit);
}

void ParallelModel::release_head() {
    auto const& stages = mesh_.along(parallel::Axis::pipeline);
    if (stages.rank() + 1 < stages.size()) return;
    auto const& part = *parts_.stages().back();
    for (auto const unit : part.units_read_by(part.block_count() - 1)) gatherer_.release(unit);
}

parallel::MeshShape mesh_shape(ParallelSection const& p, int world_size) {
    return parallel::resolve({{p.pipeline, p.replicate, p.shard, p.context, p.tensor}}, world_size,
                             p.zero > 0);
}

ParallelModel::ParallelModel(model::Config const& model, parallel::Mesh const& mesh,
                             ParallelSection const& section, NumericsSection const& numerics,
                             bool gradients, at::Device device)
    : config_(model), mesh_(mesh), layout_(pipeline_layout(model, mesh, section)),
      specs_(model::parameter_specs(model)),
      store_(model::parameter_specs(model, layout_),
             store_options(mesh, section, numerics, gradients, device)),
      parts_(model, store_, layout_,
             {.tensor = {&mesh.along(parallel::Axis::tensor)},
              .recompute_attention = section.recompute == Recompute::selective}),
      reducer_(store_, mesh), gatherer_(store_, mesh),
      engine_(parts_.stages(), reducer_, gatherer_, mesh,
              {section.schedule, section.recompute == Recompute::full}) {}

WholeWeights::WholeWeights(ParallelModel& model) : model_(model) {
    for (std::size_t u = 0; u < model.store_.units().size(); ++u) model.gatherer_.acquire(u);
}

WholeWeights::~WholeWeights() {
    for (std::size_t u = 0; u < model_.store_.units().size(); ++u) model_.gatherer_.release(u);
}

} // namespace trireme::framework::parallelize
