#include "framework/inputs/loaded_model.hpp"

#include <fmt/format.h>

#include "cluster/error.hpp"
#include "framework/pretrained/weights.hpp"

namespace trireme::framework::inputs {

LoadedModel::LoadedModel(config::Config const& config, model::Config const& model,
                         parallel::Mesh const& mesh, Purpose purpose, at::Device device)
    : ParallelModel(model, mesh, config.parallel, config.numerics, purpose == Purpose::training,
                    device),
      run_(config) {
    if (double const weight = config.train.base_divergence;
        weight > 0 && purpose == Purpose::training)
        keep_base(weight, config.parallel, config.numerics);
}

void LoadedModel::start_base() {
    auto const loaded = pretrained::load_weights(run_.model, run_.seed, config(), base()->store());
    if (!loaded.fresh.empty())
        throw cluster::InputError(
            fmt::format("train.base_divergence: {}: legal with model.path: {}: 0; {}",
                        run_.train.base_divergence, run_.model.path, loaded.notes().front()));
    base()->refresh();
}

std::vector<std::string> LoadedModel::start_weights() {
    return pretrained::load_weights(run_.model, run_.seed, config(), store()).notes();
}

void LoadedModel::read_trained_weights(std::string const& legal) {
    auto const loaded = pretrained::load_weights(run_.model, run_.seed, config(), store());
    if (!loaded.fresh.empty())
        throw cluster::InputError(
            fmt::format("{}: it was not trained for these labels ({}); legal: {}", run_.model.path,
                        loaded.notes().front(), legal));
    refresh();
}

} // namespace trireme::framework::inputs
