#include "framework/parallel_model.hpp"

#include "framework/layout_check.hpp"
#include "framework/numerics.hpp"

namespace trireme::framework {

namespace {

PipelineLayout pipeline_layout(ModelConfig const& model, parallel::Mesh const& mesh, ParallelSection const& section) {
    check_layout(model, mesh.shape(), section);
    auto const& stages = mesh.along(parallel::Axis::pipeline);
    return {stages.size(), stages.rank(), section.virtual_stages, section.layers};
}

parallel::StoreOptions store_options(parallel::Mesh const& mesh, ParallelSection const& section,
                                     NumericsSection const& numerics, bool gradients, at::Device device) {
    return {.compute = compute_dtype(numerics.compute),
            .separate_slots = numerics.mode == NumericsMode::bitwise,
            .gradients = gradients,
            .zero = section.zero,
            .place = mesh.place(),
            .device = device};
}

} // namespace

parallel::MeshShape mesh_shape(ParallelSection const& p, int world_size) {
    return parallel::resolve({{p.pipeline, p.replicate, p.shard, p.context, p.tensor}}, world_size, p.zero > 0);
}

ParallelModel::ParallelModel(ModelConfig const& model, parallel::Mesh const& mesh, ParallelSection const& section,
                             NumericsSection const& numerics, bool gradients, at::Device device)
    : config_(model), mesh_(mesh), layout_(pipeline_layout(model, mesh, section)), specs_(parameter_specs(model)),
      store_(parameter_specs(model, layout_), store_options(mesh, section, numerics, gradients, device)),
      parts_(
          model, store_, layout_,
          {.tensor = {&mesh.along(parallel::Axis::tensor)}, .recompute_attention = section.recompute == "selective"}),
      reducer_(store_, mesh), gatherer_(store_, mesh),
      engine_(parts_.stages(), reducer_, gatherer_, mesh,
              {parallel::schedule_kind(section.schedule), section.recompute == "full"}) {}

} // namespace trireme::framework
