#include "framework/export_job.hpp"

#include <fmt/format.h>

#include "cluster/error.hpp"
#include "data/manifest.hpp"
#include "framework/checkpoint/reader.hpp"
#include "framework/model/transformer_stage.hpp"
#include "framework/numerics.hpp"
#include "framework/pretrained/weights.hpp"
#include "framework/run_checkpoints.hpp"

namespace trireme::framework {

namespace {

/// The newest one whose manifest is sound; its progress says which one was the best.
std::string choose(std::string const& folder, std::string const& which) {
    auto const names = list_checkpoints(folder);
    if (names.empty()) throw cluster::InputError(folder + ": no checkpoints");
    if (which != "best" && which != "latest") return which;
    if (which == "latest") return names.front();
    auto const progress =
        RunProgress::from_json(CheckpointReader(folder + "/" + names.front()).manifest().state.at("progress"));
    for (auto const& name : names)
        if (CheckpointReader(folder + "/" + name).manifest().state.at("progress").at("step") == progress.best_step)
            return name;
    throw cluster::InputError(
        fmt::format("{}: the best step {} was not kept (checkpoint.keep_best: false?); legal: --checkpoint latest",
                    folder, progress.best_step));
}

} // namespace

std::string export_checkpoint(std::string const& run, std::string const& which, std::string const& output) {
    Config const config = read_config(run + "/config.yaml", {});
    std::string const folder = run + "/checkpoints", name = choose(folder, which);
    ModelConfig const model = read_model_config(config, data::read_manifest(config.data.path).labels);
    parallel::ParameterStore store(parameter_specs(model),
                                   {.compute = compute_dtype(config.numerics.compute), .gradients = false});
    CheckpointReader const reader(folder + "/" + name);
    for (auto const& p : store.parameters()) {
        auto const* tensor = reader.manifest().find("weight", p->spec().name);
        if (!tensor || tensor->shape != p->spec().shape)
            throw cluster::InputError(
                fmt::format("{}/{}: no tensor {} of the model's shape", folder, name, p->spec().name));
        reader.read(*tensor, 0, p->numel(), p->master().mutable_data_ptr());
    }
    export_model(model, store, config.data.path, output);
    return name;
}

} // namespace trireme::framework
