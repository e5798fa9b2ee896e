#include "framework/model/transformer_parts.hpp"

#include "parallel/layer_split.hpp"

namespace trireme::framework::model {

namespace {

/// The parts of this stage, by chunk.
std::vector<PartRange> own_parts(Config const& config, PipelineLayout const& layout) {
    auto const all = part_ranges(config, layout);
    std::vector<PartRange> own;
    for (int c = 0; c < layout.chunks; ++c)
        own.push_back(all[static_cast<std::size_t>(c * layout.stages + layout.stage)]);
    return own;
}

} // namespace

std::vector<PartRange> part_ranges(Config const& config, PipelineLayout const& layout) {
    std::vector<PartRange> parts;
    std::int64_t first = 0;
    for (int const layers : parallel::layers_of_parts(
             static_cast<int>(config.layers), layout.stages, layout.chunks, layout.layers)) {
        parts.push_back({first, first + layers, parts.empty(), false});
        first += layers;
    }
    parts.back().head = true;
    return parts;
}

std::vector<parallel::ParameterSpec> parameter_specs(Config const& config,
                                                     PipelineLayout const& layout) {
    std::vector<parallel::ParameterSpec> specs;
    bool embeddings = false, head = false;
    auto const parts = own_parts(config, layout);
    for (auto const& part : parts) embeddings |= part.embeddings, head |= part.head;
    for (auto spec : parameter_specs(config)) {
        bool here = spec.unit == "head" ? head : embeddings;
        if (auto const layer = layer_of(spec.unit); layer >= 0) {
            here = false;
            for (auto const& part : parts)
                here |= layer >= part.first_layer && layer < part.last_layer;
        } else if (spec.uses == 2 && embeddings != head) { // see [Note: tied embeddings]
            here = true;
            spec.uses = 1;
            spec.first_use = head ? 1 : 0;
            spec.owned = embeddings;
            spec.peer_stage = embeddings ? layout.stages - 1 : 0;
        }
        if (here) specs.push_back(std::move(spec));
    }
    return specs;
}

TransformerParts::TransformerParts(Config const& config, parallel::ParameterStore& store,
                                   PipelineLayout const& layout, BlockOptions const& options) {
    for (auto const& range : own_parts(config, layout))
        parts_.push_back(std::make_unique<TransformerStage>(config, store, range, options));
}

void TransformerParts::load(std::vector<Pass> passes) {
    auto const shared = std::make_shared<std::vector<Pass> const>(std::move(passes));
    for (auto& part : parts_) part->load(shared);
}

std::vector<parallel::Stage*> TransformerParts::stages() const {
    std::vector<parallel::Stage*> stages;
    for (auto const& part : parts_) stages.push_back(part.get());
    return stages;
}

} // namespace trireme::framework::model
