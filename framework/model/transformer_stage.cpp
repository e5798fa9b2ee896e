#include "framework/model/transformer_stage.hpp"

#include <ATen/core/grad_mode.h>

#include <utility>

#include "cluster/error.hpp"

namespace trireme::framework {

namespace {

/// The block that reads a unit first is the last to add to its gradient.
std::size_t block_of(std::string const& unit, std::size_t blocks) {
    if (unit.starts_with("layers.")) return static_cast<std::size_t>(std::stoul(unit.substr(7))) + 1;
    return unit == "head" ? blocks - 1 : 0;
}

std::vector<TransformerLayer> make_layers(ModelConfig const& config, parallel::ParameterStore& store) {
    std::vector<TransformerLayer> layers;
    for (std::int64_t i = 0; i < config.layers; ++i) layers.emplace_back(config, store, i);
    return layers;
}

} // namespace

TransformerStage::TransformerStage(ModelConfig const& config, parallel::ParameterStore& store)
    : config_(config), rotary_(rotary_table(config, store.master_dtype())), stem_(config, store),
      layers_(make_layers(config, store)), head_(config, store), completed_(layers_.size() + 2) {
    for (std::size_t u = 0; u < store.units().size(); ++u)
        completed_[block_of(store.units()[u].name, completed_.size())].push_back(u);
}

void TransformerStage::load(std::vector<Pass> passes) {
    passes_ = std::move(passes);
    results_ = {};
}

at::Tensor TransformerStage::logits(Pass const& pass) const {
    at::NoGradGuard const no_graph;
    at::Tensor x = stem_.forward(at::zeros({1}), pass);
    for (auto const& layer : layers_) x = layer.forward(x, rotary_, pass);
    return head_.logits(x, pass);
}

at::Tensor TransformerStage::forward(std::size_t block, at::Tensor const& input, std::int64_t micro_step) {
    Pass const& pass = passes_.at(static_cast<std::size_t>(micro_step));
    if (block == 0) return stem_.forward(input, pass);
    if (block <= layers_.size()) return layers_[block - 1].forward(input, rotary_, pass);
    return head_.forward(input, pass, results_);
}

} // namespace trireme::framework
