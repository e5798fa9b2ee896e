#include "framework/inputs/general_data.hpp"

#include <fmt/format.h>

#include <utility>

#include "cluster/error.hpp"
#include "data/manifest.hpp"
#include "data/tokenizer_files.hpp"
#include "framework/inputs/masked_data.hpp"
#include "framework/inputs/model_config.hpp"
#include "framework/tasks/task.hpp"

namespace trireme::framework::inputs {

namespace {

void check_guard(config::Config const& config, model::Config const& model) {
    auto const& guard = config.guard;
    if (guard.max_forgetting > 0 && guard.general_data.empty())
        throw cluster::InputError(fmt::format(
            "guard.max_forgetting: {}: legal without guard.general_data: 0", guard.max_forgetting));
    if (guard.max_forgetting > 0 && !config.checkpoint.keep_best)
        throw cluster::InputError("checkpoint.keep_best: false: legal with guard.max_forgetting: "
                                  "true, so that the best weights below it are there");
    if (!guard.general_data.empty() && !model::traits_of(model.head).of_vocabulary())
        throw cluster::InputError(fmt::format(
            "guard.general_data: {}: legal for {}: empty; its model has no scores of tokens, whose "
            "loss on general text could be followed",
            guard.general_data, config.task));
}

} // namespace

std::unique_ptr<data::Dataset> open_general(config::Config const& config,
                                            model::Config const& model) {
    check_guard(config, model);
    std::string const& folder = config.guard.general_data;
    if (folder.empty()) return nullptr;
    data::Manifest const manifest = data::read_manifest(folder);
    auto set =
        data::open_dataset(folder, manifest.splits.contains("validation") ? "validation" : "train");
    if (tasks::task_of(set->task().kind).head() != model.head)
        throw cluster::InputError(
            fmt::format("guard.general_data: {}: was prepared for {}; legal: text prepared for {}",
                        folder, set->task().name, tasks::task_of(model.head).schema().name));
    config::Config there = config; // messages name the folder that they are about
    there.data.path = folder;
    set = with_masks(std::move(set), there, model, {});
    check_fit(model, *set, there);
    data::check_same_tokenizer(folder, manifest.tokenizer_xxh3, config.model.path);
    return set;
}

} // namespace trireme::framework::inputs
