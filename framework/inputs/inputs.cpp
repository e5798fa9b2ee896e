#include "framework/inputs/inputs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <system_error>
#include <utility>

#include "cluster/error.hpp"
#include "cluster/listing.hpp"
#include "data/chat_templates.hpp"
#include "data/manifest.hpp"
#include "data/tokenizer_files.hpp"
#include "framework/checkpoint/folder.hpp"
#include "framework/checkpoint/run_state.hpp"
#include "framework/evaluation/metrics.hpp"
#include "framework/inputs/general_data.hpp"
#include "framework/inputs/masked_data.hpp"
#include "framework/inputs/model_config.hpp"
#include "framework/inputs/train_set.hpp"
#include "framework/model/frozen.hpp"
#include "framework/model/transformer_stage.hpp"
#include "framework/pretrained/run_source.hpp"
#include "framework/pretrained/weights.hpp"
#include "framework/run/planned_steps.hpp"
#include "framework/tasks/task.hpp"

namespace trireme::framework::inputs {

namespace {

void check_set(data::Dataset const& set, config::Config const& config) {
    if (set.task().name != config.task)
        throw cluster::InputError(
            fmt::format("task: {}: legal: {}, for which the data in {} were prepared", config.task,
                        set.task().name, config.data.path));
    evaluation::metric_named(config.evaluation.metric, tasks::task_of(set.task().kind).findings(),
                             "evaluation.metric", config.evaluation.generate > 0);
    if (set.size() < config.batch.global)
        throw cluster::InputError(
            fmt::format("batch.global: {}: {} has only {} training samples; legal: at most that",
                        config.batch.global, config.data.path, set.size()));
}

/// Opens the validation split; null if the data have no split of the default name and nothing asks
/// for one.
std::unique_ptr<data::Dataset>
open_validation(config::Config const& config,
                std::map<std::string, data::SplitInfo> const& splits) {
    std::string const& name = config.data.validation;
    if (name != data::Section{}.validation || splits.contains(name))
        return data::open_dataset(data::staged_of(config.data.path, config.data), name);
    std::string others;
    for (auto const& [split, info] : splits) others += ", " + split;
    auto const refuse = [&](std::string const& field, std::string const& without) {
        throw cluster::InputError(fmt::format(
            "{}: {} has no split \"{}\" to evaluate; legal: {}, or data.validation: one "
            "of {}, or data prepared with --validation or --validation-fraction",
            field, config.data.path, name, without, others.substr(2)));
    };
    auto const& e = config.evaluation;
    if (e.patience > 0) refuse(fmt::format("evaluation.patience: {}", e.patience), "0");
    if (e.metric != "loss") refuse("evaluation.metric: " + e.metric, "loss");
    auto const& guard = config.guard;
    if (guard.overfitting == run::Overfitting::stop) refuse("guard.overfitting: stop", "off, warn");
    if (!guard.general_data.empty()) refuse("guard.general_data: " + guard.general_data, "empty");
    return nullptr;
}

/// Returns factors of the losses of classes.
std::vector<double> class_weights(config::Config const& config,
                                  std::vector<std::int64_t> const& counts,
                                  model::Config const& model) {
    auto const& asked = config.train.class_weights;
    if (!asked.none() && model.head != model::HeadKind::classification)
        throw cluster::InputError(fmt::format(
            "train.class_weights: {}: legal for {}: none; classes of classification have weights",
            asked.balanced ? "balanced" : asked.by_name.begin()->first, config.task));
    return data::weights_of(asked, model.labels, counts, "train.class_weights");
}

/// Names the source that does not fit, where the whole would name data.path.
void check_sources_fit(Inputs const& in, config::Config const& config) {
    // Samples of masked language modelling have labels only where words are hidden, in `train`.
    if (!in.mixture || in.train->task().kind == data::TaskKind::masked_language_modeling) return;
    config::Config of_source = config;
    for (std::size_t s = 0; s < in.mixture->count(); ++s) {
        of_source.data.path = data::path_of(config.data.train.sources[s], config.data);
        check_fit(in.model, *in.mixture->part(s).set, of_source);
    }
}

void check_tokenizers(config::Config const& config, data::Manifest const& manifest) {
    data::check_same_tokenizer(config.data.path, manifest.tokenizer_xxh3, config.model.path,
                               manifest.added_tokens);
    std::vector<std::string> folders{config.data.path, config.model.path};
    for (auto const& source : config.data.train.sources)
        folders.push_back(data::path_of(source, config.data));
    data::check_chat_templates(folders);
}

/// Each pattern must name something, and something must be left to train.
void check_frozen(model::Config const& model) {
    auto const specs = model::parameter_specs(model);
    for (auto const& pattern : model.frozen)
        if (std::ranges::none_of(specs,
                                 [&](auto const& spec) { return model::fits(pattern, spec.name); }))
            throw cluster::InputError(fmt::format(
                "optimizer.freeze: {}: fits no parameter; legal: patterns of names as {} or {}",
                pattern, specs.front().name, specs.back().name));
    if (std::ranges::none_of(specs, &parallel::ParameterSpec::trainable))
        throw cluster::InputError(fmt::format("optimizer.freeze: {}: every parameter is frozen; "
                                              "legal: patterns that leave one to train",
                                              model.frozen.front()));
}

/// The base model must have learned what the loss holds on to.
void check_base(config::Config const& config, model::Config const& model) {
    double const weight = config.train.base_divergence;
    if (weight == 0) return;
    if (!model::traits_of(model.head).of_vocabulary())
        throw cluster::InputError(fmt::format(
            "train.base_divergence: {}: legal for {}: 0; the base model has no scores of its "
            "classes, from which the model could stray",
            weight, config.task));
    if (config.model.from_scratch)
        throw cluster::InputError(
            fmt::format("train.base_divergence: {}: legal with model.from_scratch: true: 0; random "
                        "weights know nothing to hold on to",
                        weight));
}

/// A run writes beside what it reads otherwise, and `rm -r RUN` would take both.
void check_run_folder(config::Config const& config) {
    std::vector folders{std::pair{"model.path", &config.model.path},
                        {"data.path", &config.data.path},
                        {"guard.general_data", &config.guard.general_data}};
    for (auto const& source : config.data.train.sources)
        folders.emplace_back("data.train", &data::path_of(source, config.data));
    for (auto const& [key, folder] : folders) {
        std::error_code none;
        if (!folder->empty() && std::filesystem::equivalent(config.run, *folder, none))
            throw cluster::InputError(fmt::format(
                "run: {}: is the folder of {} too; legal: a folder of its own", config.run, key));
    }
}

} // namespace

Inputs open_inputs(config::Config const& config) {
    check_run_folder(config);
    data::Manifest const manifest = data::read_manifest(config.data.path);
    TrainSet train = open_train(config, manifest);
    Inputs in{.train = std::move(train.set),
              .mixture = train.mixture,
              .validation = open_validation(config, manifest.splits)};
    check_set(*in.train, config);
    in.model = read_model_config(config, in.train->label_names());
    make_room(in.model, manifest);
    in.model.class_weights = class_weights(config, train.label_counts, in.model);
    in.model.frozen = config.optimizer.freeze;
    check_frozen(in.model);
    check_base(config, in.model);
    if (cluster::is_folder(config.run) &&
        !checkpoint::list_checkpoints(config.run + "/checkpoints").empty())
        pretrained::check_same_model(config.run, config.model.path, in.model);
    in.train = with_masks(std::move(in.train), config, in.model,
                          {.probability = config.data.mask_probability, .seed = config.seed});
    if (in.validation) in.validation = with_masks(std::move(in.validation), config, in.model, {});
    check_sources_fit(in, config);
    check_fit(in.model, *in.train, config);
    if (in.validation) check_fit(in.model, *in.validation, config);
    if (in.validation) in.validation->questions(); // a file that cannot be read is told now
    check_tokenizers(config, manifest);
    in.general = open_general(config, in.model);
    in.prompts = open_prompts(config, in.validation.get());
    in.steps = run::planned_steps(config.train, config.batch.global, in.train->size());
    if (in.mixture) check_caps(config, *in.mixture, in.steps);
    return in;
}

run::DiskRoom checkpoint_room(config::Config const& config, Inputs const& inputs) {
    std::int64_t parameters = 0, done = 0;
    for (auto const& spec : model::parameter_specs(inputs.model))
        parameters += storage::elements_of(spec.shape);
    std::string const folder = config.run + "/checkpoints";
    if (auto const names = checkpoint::list_checkpoints(folder); !names.empty()) try {
            auto const state = checkpoint::read_run_state(
                checkpoint::read_manifest(folder + "/" + names.front()), names.front());
            done = state.progress.step;
        } catch (cluster::InputError const&) {
            // Told when it is read whole; until then the run may have all its steps to do.
        }
    std::int64_t const an_epoch =
        inputs.validation ? std::max<std::int64_t>(1, inputs.train->size() / config.batch.global)
                          : 0;
    bool const fp64 = config.numerics.compute == parallelize::Compute::fp64;
    std::int64_t const states = config.optimizer.ema_decay > 0 ? 4 : 3;
    auto const& evaluation = config.evaluation;
    run::DiskRoom room = run::disk_room(
        config.run, {.rules = config.checkpoint,
                     .bytes = states * parameters * (fp64 ? 8 : 4),
                     .steps = inputs.steps - done,
                     .evaluated = evaluation.every > 0 ? evaluation.every : an_epoch});
    if (done >= inputs.steps) room.most = 0; // nothing is left to write
    return room;
}

void check_start(config::Config const& config, Inputs const& inputs, run::DiskRoom const& room) {
    if (checkpoint::list_checkpoints(config.run + "/checkpoints").empty())
        pretrained::check_weights(config.model, inputs.model);
    if (std::string const refusal = room.refusal(); !refusal.empty())
        throw cluster::InputError(refusal);
}

} // namespace trireme::framework::inputs
