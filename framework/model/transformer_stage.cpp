#include "framework/model/transformer_stage.hpp"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <utility>

#include "cluster/error.hpp"
#include "framework/model/token_rows.hpp"
#include "framework/model/transformer_parts.hpp"
#include "parallel/layer_split.hpp"

namespace trireme::framework::model {

std::int64_t layer_of(std::string const& unit) {
    constexpr std::string_view kPrefix = "layers.";
    return unit.starts_with(kPrefix) ? std::stoll(unit.substr(kPrefix.size())) : -1;
}

TransformerStage::TransformerStage(Config const& config, parallel::ParameterStore& store)
    : TransformerStage(config, store, {0, config.layers, true, true}) {}

TransformerStage::TransformerStage(Config const& config, parallel::ParameterStore& store,
                                   PartRange const& range, BlockOptions const& options)
    : config_(config), range_(range), options_(options),
      boundary_(at::TensorOptions().dtype(store.options().compute).device(store.options().device)),
      rotary_(rotary_table(config, store.master_dtype(), store.options().device)) {
    if (std::ranges::find(config.layer_rotary, LayerRotary::local) != config.layer_rotary.end())
        local_rotary_ =
            rotary_table(config, store.master_dtype(), store.options().device, LayerRotary::local);
    if (range.embeddings) {
        embeddings_.emplace(config, store, options);
        blocks_.push_back({Block::Kind::embeddings});
    }
    for (std::int64_t i = range.first_layer; i < range.last_layer; ++i) {
        blocks_.push_back({Block::Kind::layer, layers_.size()});
        layers_.emplace_back(config, store, i, options);
    }
    if (range.head) {
        head_.emplace(config, store, options);
        blocks_.push_back({Block::Kind::head});
    }
    find_units(store, range);
}

void TransformerStage::find_units(parallel::ParameterStore const& store, PartRange const& range) {
    std::size_t const first_layer = range.embeddings ? 1 : 0, head = blocks_.size() - 1;
    for (std::size_t u = 0; u < store.units().size(); ++u) {
        std::string const& name = store.units()[u]->name;
        if (auto const layer = layer_of(name); layer >= 0) {
            if (layer < range.first_layer || layer >= range.last_layer) continue;
            auto& block =
                blocks_[first_layer + static_cast<std::size_t>(layer - range.first_layer)];
            block.read.push_back(u);
            block.read_back.push_back(u);
            block.completed.push_back(u);
            continue;
        }
        bool const by_embeddings = range.embeddings && name != "head",
                   by_head = range.head && (name == "head" || name == "tied");
        if (by_embeddings) blocks_.front().read.push_back(u);
        if (by_embeddings && name != "tied" && embeddings_->reads_weights_back())
            blocks_.front().read_back.push_back(u);
        if (by_head) blocks_[head].read.push_back(u), blocks_[head].read_back.push_back(u);
        // The block that reads a unit first is the last to add to its gradient.
        if (by_embeddings || by_head) blocks_[by_embeddings ? 0 : head].completed.push_back(u);
    }
}

void TransformerStage::load(std::vector<Pass> passes) {
    load(std::make_shared<std::vector<Pass> const>(std::move(passes)));
}

void TransformerStage::load(std::shared_ptr<std::vector<Pass> const> passes) {
    passes_ = std::move(passes);
    results_ = {};
}

at::Tensor TransformerStage::layers_of(Pass const& pass, at::Tensor const& input) const {
    at::NoGradGuard const no_graph;
    at::Tensor x = embeddings_ ? embeddings_->forward(input, pass) : input;
    for (auto const& layer : layers_) x = run(layer, x, pass);
    return x;
}

at::Tensor TransformerStage::logits(Pass const& pass) const {
    at::NoGradGuard const no_graph;
    return head_.value().logits(layers_of(pass, at::zeros({1})), pass);
}

at::Tensor TransformerStage::next_logits(Pass const& pass, at::Tensor const& hidden) const {
    at::NoGradGuard const no_graph;
    at::Tensor const ends =
        at::tensor(at::ArrayRef<std::int64_t>(pass.micro_batch.offsets).slice(1), at::kLong) - 1;
    return head_.value().logits(hidden.index_select(0, ends), pass);
}

bool TransformerStage::chooses_rows(Pass const& pass) const {
    return reads_one_token(config_) && !pass.base_output && options_.tensor.size() == 1;
}

at::Tensor TransformerStage::run_layer(std::size_t layer, at::Tensor const& x,
                                       Pass const& pass) const {
    bool const last = range_.first_layer + static_cast<std::int64_t>(layer) + 1 == config_.layers;
    if (!last || !chooses_rows(pass)) return run(layers_[layer], x, pass);
    auto const rows = rows_read(pass.micro_batch, config_);
    return run(layers_[layer], x, pass, &rows);
}

std::vector<std::int64_t> TransformerStage::shape_behind(std::int64_t layers,
                                                         std::int64_t micro_step) const {
    Pass const& pass = passes_->at(static_cast<std::size_t>(micro_step));
    bool const few = layers == config_.layers && chooses_rows(pass);
    return {few ? pass.micro_batch.sample_count()
                : pass.ids.tokens.size(0) / options_.tensor.size(),
            config_.hidden};
}

at::Tensor TransformerStage::forward(std::size_t block, at::Tensor const& input,
                                     std::int64_t micro_step) {
    Pass const& pass = passes_->at(static_cast<std::size_t>(micro_step));
    switch (blocks_[block].kind) {
    case Block::Kind::embeddings: return embeddings_->forward(input, pass);
    case Block::Kind::layer: return run_layer(blocks_[block].layer, input, pass);
    case Block::Kind::head: return head_->forward(input, pass, results_);
    }
    return {};
}

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
