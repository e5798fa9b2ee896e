#include "framework/planning/run_preview.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "cluster/counted.hpp"
#include "cluster/error.hpp"
#include "data/loader.hpp"
#include "framework/parallelize/layout_check.hpp"
#include "framework/parallelize/numerics.hpp"
#include "framework/parallelize/parallel_model.hpp"
#include "framework/pretrained/weights.hpp"
#include "parallel/micro_batch_ranks.hpp"

namespace trireme::framework::planning {

namespace {

/// More steps would tell no more, and planning a step costs its samples.
constexpr std::int64_t kStepsLookedAt = 200;

std::int64_t elements_of(parallel::ParameterSpec const& spec) {
    return std::accumulate(spec.shape.begin(), spec.shape.end(), std::int64_t{1},
                           std::multiplies<>());
}

std::vector<ModelPart> parts_of(std::vector<parallel::ParameterSpec> const& specs) {
    std::vector<ModelPart> parts;
    std::string unit;
    for (auto const& spec : specs) {
        std::string const part =
            spec.unit.substr(0, spec.unit.find('.')); // "layers.3": one of the layers
        if (parts.empty() || parts.back().name != part)
            parts.push_back({part, 0, 1});
        else
            parts.back().units += spec.unit != unit;
        parts.back().parameters += elements_of(spec);
        unit = spec.unit;
    }
    return parts;
}

void add(Spread& spread, std::int64_t value, std::int64_t count) {
    spread.least = count == 1 ? value : std::min(spread.least, value);
    spread.most = std::max(spread.most, value);
    spread.mean += (static_cast<double>(value) - spread.mean) / static_cast<double>(count);
}

parallel::StoreOptions store_options(config::Config const& config,
                                     parallel::MeshShape const& mesh) {
    return {.compute = parallelize::compute_dtype(config.numerics.compute),
            .separate_micro_batches = config.numerics.mode == parallelize::NumericsMode::bitwise,
            .zero = config.parallel.zero,
            .place = {.replicate = mesh[parallel::Axis::replicate],
                      .shard = mesh[parallel::Axis::shard],
                      .tensor = mesh[parallel::Axis::tensor]}};
}

void look_at_steps(RunPreview& p, data::Dataset const& set, config::Config const& config) {
    data::BatchShape const shape{config.batch.global, config.batch.tokens_per_micro_batch,
                                 p.mesh[parallel::Axis::tensor]};
    std::int64_t places = 0, filled = 0;
    p.steps_looked_at = std::min(p.steps, kStepsLookedAt);
    for (std::int64_t step = 0; step < p.steps_looked_at; ++step) {
        auto const plan = data::plan_step(set, shape, config.seed, step * shape.samples);
        auto const micro_batches = static_cast<std::int64_t>(plan.micro_batches.size());
        add(p.micro_batches, micro_batches, step + 1);
        add(p.tokens_per_step, plan.tokens, step + 1);
        filled += micro_batches;
        places += parallel::micro_steps_of(micro_batches, p.data_ranks) * p.data_ranks;
    }
    p.idle =
        1.0 - static_cast<double>(filled) / static_cast<double>(std::max<std::int64_t>(1, places));
}

} // namespace

RankMemory rank_memory(std::vector<parallel::ParameterSpec> const& specs,
                       parallel::StoreOptions const& options, bool average) {
    RankMemory memory;
    std::int64_t const master = options.compute == at::kDouble ? 8 : 4,
                       copy = options.compute == at::kBFloat16 ? 2 : master;
    std::vector<std::int64_t> counts;
    bool owned = true, trainable = false;
    for (std::size_t i = 0; i < specs.size(); ++i) {
        counts.push_back(
            parallel::Parameter(specs[i], options.place.tensor, options.place.tensor_rank).numel());
        owned &= specs[i].owned;
        trainable |= specs[i].trainable;
        if (i + 1 < specs.size() && specs[i + 1].unit == specs[i].unit) continue;
        std::int64_t const all = parallel::lay_out(counts, options.place.parts()).total,
                           kept = options.zero > 0 ? all / options.place.shard : all;
        bool const one_memory = copy == master && options.zero < 3;
        memory.weights += (options.zero < 3 ? all * copy : 0) + (one_memory ? 0 : kept * master);
        if (trainable) memory.gradients += (options.zero < 2 ? all : kept) * master * specs[i].uses;
        memory.optimizer += owned && trainable ? (average ? 3 : 2) * kept * master : 0;
        counts.clear();
        owned = true;
        trainable = false;
    }
    return memory;
}

std::int64_t parameters_of(model::Config const& model) {
    std::int64_t all = 0;
    for (auto const& spec : model::parameter_specs(model)) all += elements_of(spec);
    return all;
}

void check_degrees(config::Config const& config, int ranks) {
    parallelize::mesh_shape(config.parallel, ranks);
}

RunPreview preview_run(config::Config const& config, int ranks) {
    if (ranks < 1) throw cluster::InputError(fmt::format("ranks: {}: legal: a number >= 1", ranks));
    RunPreview p;
    p.ranks = ranks;
    p.mesh = parallelize::mesh_shape(config.parallel, ranks);
    p.data_ranks = p.mesh[parallel::Axis::replicate] * p.mesh[parallel::Axis::shard];
    inputs::Inputs const inputs = inputs::open_inputs(config);
    parallelize::check_layout(inputs.model, p.mesh, config.parallel);
    p.steps = inputs.steps;
    p.samples = inputs.train->size();
    p.longest = inputs.train->longest();
    p.validation_samples = inputs.validation ? inputs.validation->size() : 0;
    if (inputs.mixture) p.sources = inputs::planned_shares(config, *inputs.mixture, p.steps);
    p.room = inputs::checkpoint_room(config, inputs);
    for (std::int64_t i = 0; i < p.samples; ++i) p.tokens += inputs.train->length(i);
    look_at_steps(p, *inputs.train, config);
    auto const specs = model::parameter_specs(inputs.model);
    p.parts = parts_of(specs);
    for (auto const& spec : specs) p.frozen += spec.trainable ? 0 : elements_of(spec);
    p.general_samples = inputs.general ? inputs.general->size() : 0;
    auto const& section = config.parallel;
    for (int stage = 0; stage < p.mesh[parallel::Axis::pipeline]; ++stage) {
        model::PipelineLayout const layout{p.mesh[parallel::Axis::pipeline], stage,
                                           section.virtual_stages, section.layers};
        RankMemory memory =
            rank_memory(model::parameter_specs(inputs.model, layout), store_options(config, p.mesh),
                        config.optimizer.ema_decay > 0);
        // A base model has weights and nothing else, in the same layout.
        if (config.train.base_divergence > 0) memory.weights *= 2;
        if (memory.total() > p.memory.total()) p.memory = memory;
    }
    return p;
}

void derive_layout(config::ConfigWithOrigins& resolved, int ranks) {
    auto& section = resolved.config.parallel;
    auto const mesh = parallelize::mesh_shape(section, ranks);
    auto const derive = [&](parallel::Axis axis, int& degree) {
        if (degree != 0) return;
        degree = mesh[axis];
        resolved.origins[std::string("parallel.") + parallel::name_of(axis)] =
            fmt::format("derived: {} over the other axes", cluster::counted(ranks, "rank"));
    };
    derive(parallel::Axis::replicate, section.replicate);
    derive(parallel::Axis::shard, section.shard);
}

void derive_threads(config::ConfigWithOrigins& resolved, int cores_per_rank) {
    if (resolved.config.numerics.threads > 0) return;
    resolved.config.numerics.threads = std::max(1, cores_per_rank);
    resolved.origins["numerics.threads"] = "derived: cores of this rank";
}

void derive_from_inputs(config::ConfigWithOrigins& resolved, inputs::Inputs const& inputs) {
    config::Config& config = resolved.config;
    if (config.train.steps == 0) {
        config.train.steps = inputs.steps;
        resolved.origins["train.steps"] = fmt::format(
            "derived: {} of {}, {} a step", cluster::counted(config.train.epochs, "epoch"),
            cluster::counted(inputs.train->size(), "sample"), config.batch.global);
    }
    auto const dropout = [&](char const* key, double& asked, double ours) {
        if (asked >= 0) return;
        asked = ours;
        resolved.origins[std::string("model.") + key] =
            "derived: " + config.model.path + "/config.json";
    };
    dropout("hidden_dropout", config.model.hidden_dropout, inputs.model.hidden_dropout);
    dropout("attention_dropout", config.model.attention_dropout, inputs.model.attention_dropout);
    dropout("classifier_dropout", config.model.classifier_dropout, inputs.model.classifier_dropout);
}

} // namespace trireme::framework::planning
