#include "framework/jobs/influence.hpp"

#include <ATen/ATen.h>
#include <c10/core/AutogradState.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>

#include "cluster/error.hpp"
#include "cluster/gather_values.hpp"
#include "cluster/topology.hpp"
#include "data/manifest.hpp"
#include "data/memory_dataset.hpp"
#include "data/tokenizer_files.hpp"
#include "framework/config/layout_config.hpp"
#include "framework/inputs/loaded_model.hpp"
#include "framework/inputs/model_config.hpp"
#include "framework/parallelize/numerics.hpp"
#include "framework/pretrained/weights.hpp"
#include "parallel/tensor_buffer.hpp"

namespace trireme::framework::jobs {

namespace {

constexpr std::int64_t kTold = 64;    ///< samples between words of progress
constexpr std::int64_t kAtOnce = 512; ///< projected gradients that are made float64 together

config::Config influence_settings(InfluenceJob const& job, std::string const& task) {
    auto config =
        config::layout_config("trireme attribute", {"numerics.compute"}, job.set, job.model, task);
    config.numerics.mode = parallelize::NumericsMode::bitwise; // micro-batches apart
    config.data.path = job.data;
    return config;
}

std::unique_ptr<data::Dataset> open_data(InfluenceJob const& job, cluster::Communicator& world) {
    auto set = data::open_dataset(job.data, job.split);
    auto const kind = set->task().kind;
    bool const next_tokens =
        kind == data::TaskKind::language_modeling || kind == data::TaskKind::generation;
    if (job.language_model ? !next_tokens : kind != data::TaskKind::classification)
        throw cluster::InputError(
            fmt::format("--influence: {}: data of {}: legal: of {}", job.data, set->task().name,
                        job.language_model ? "language-modeling or generation" : "classification"));
    set->verify(world.rank(), world.size());
    data::check_same_tokenizer(job.data, data::read_manifest(job.data).tokenizer_xxh3, job.model);
    return set;
}

model::Config model_of(config::Config const& config, data::Dataset const& set) {
    auto model = inputs::read_model_config(config, set.label_names());
    inputs::check_fit(model, set, config);
    pretrained::check_complete(config.model, model);
    return model;
}

} // namespace

struct Influences::State {
    State(InfluenceJob const& job, cluster::Communicator& world)
        : set(open_data(job, world)), config(influence_settings(job, set->task().name)),
          model(model_of(config, *set)),
          mesh(world, parallelize::mesh_shape(config.parallel, world.size())),
          loaded(config, model, mesh, inputs::Purpose::training), projection(elements()) {
        loaded.read_trained_weights("a model that `trireme export` wrote for the labels of " +
                                    job.data);
    }

    std::int64_t elements() {
        std::int64_t sum = 0;
        for (auto const& p : loaded.store().parameters()) sum += p->numel();
        return sum;
    }
    /// Backward pass of one sample.
    Direction direction(data::MicroBatch micro_batch) {
        auto& stage = loaded.part();
        stage.load({model::make_pass(std::move(micro_batch), false, 0, 0, 1.0)});
        at::Tensor x = at::zeros({1}, stage.boundary_options()).set_requires_grad(true);
        for (std::size_t block = 0; block < stage.block_count(); ++block)
            x = stage.forward(block, x, 0);
        c10::AutogradState::get_tls_state().set_multithreading_enabled(false);
        torch::autograd::backward({x}, {at::ones_like(x)});
        return taken();
    }
    /// Takes the gradient out of the store.
    Direction taken() {
        Direction found;
        found.projected.resize(static_cast<std::size_t>(kProjected));
        std::int64_t first = 0;
        auto const names = model::head_names(model).classifier;
        for (std::size_t u = 0; u < loaded.store().units().size(); ++u) {
            auto& unit = *loaded.store().units()[u];
            loaded.store().check_all_delivered(u);
            auto const buffers = unit.close_micro_batch();
            for (auto const& stretch : parallel::stretches(unit, 0, unit.layout.total)) {
                for (auto const& buffer : buffers) {
                    if (!buffer.defined() || !stretch.parameter->spec().trainable) continue;
                    at::Tensor const values =
                        buffer.narrow(0, stretch.at, stretch.count).to(at::kFloat).contiguous();
                    std::span const own(values.const_data_ptr<float>(),
                                        static_cast<std::size_t>(values.numel()));
                    projection.add(own, first, found.projected);
                    auto const& name = stretch.parameter->spec().name;
                    if (name == names.weight || name == names.bias)
                        found.head.insert(found.head.end(), own.begin(), own.end());
                }
                first += stretch.count;
            }
        }
        normalize(found.head);
        normalize(found.projected);
        return found;
    }

    std::unique_ptr<data::Dataset> set;
    config::Config config; ///< to this and the model the loaded one refers
    model::Config model;
    parallel::Mesh mesh;
    inputs::LoadedModel loaded;
    Projection projection;
};

Influences::Influences(InfluenceJob const& job, cluster::Communicator& world) {
    parallelize::configure_numerics({.mode = parallelize::NumericsMode::bitwise},
                                    cluster::topology(world).cores_per_rank);
    state_ = std::make_unique<State>(job, world);
}
Influences::~Influences() = default;

data::Dataset const& Influences::set() const {
    return *state_->set;
}

namespace {

/// The token that each has to foresee.
std::vector<std::int32_t> next_tokens(std::vector<std::int32_t> const& tokens) {
    std::vector<std::int32_t> next(tokens.begin() + !tokens.empty(), tokens.end());
    next.resize(tokens.size(), data::kIgnoredLabel);
    return next;
}

/// The texts as samples of the labels that they are taken to have, or of their own tokens.
std::unique_ptr<data::Dataset> samples_of(std::vector<AttributedText> const& texts,
                                          std::vector<std::int32_t> const& labels,
                                          data::TaskKind task, model::Config const& model) {
    std::vector<data::Sample> samples;
    for (std::size_t i = 0; i < texts.size(); ++i) {
        auto& sample = samples.emplace_back(texts[i].sample);
        if (task == data::TaskKind::classification)
            sample.labels[data::kClassLabel.name] = {labels.at(i)};
        else
            sample.labels[data::kTokenLabels.name] = next_tokens(sample.tokens);
    }
    return data::make_memory_dataset(task, std::move(samples), model.labels, model.vocabulary);
}

/// Values of samples rank, rank + ranks, ... of each rank, put in the order of samples: [texts,
/// samples].
std::vector<float> in_order(std::vector<std::vector<float>> const& of_ranks, std::size_t texts,
                            std::size_t samples) {
    std::vector<float> all(texts * samples);
    for (std::size_t rank = 0; rank < of_ranks.size(); ++rank)
        for (std::size_t k = 0; k < of_ranks[rank].size(); ++k)
            all[k % texts * samples + rank + k / texts * of_ranks.size()] = of_ranks[rank][k];
    return all;
}

} // namespace

namespace {

/// Projected gradients, one after another.
struct Rows {
    std::vector<float> values;

    void add(Direction const& one) {
        values.insert(values.end(), one.projected.begin(), one.projected.end());
    }
    std::int64_t count() const { return std::ssize(values) / kProjected; }
    /// Rows from `first`, at most kAtOnce: [n, kProjected], float64
    at::Tensor block(std::int64_t first) const {
        auto const n = std::min(kAtOnce, count() - first);
        return at::from_blob(const_cast<float*>(values.data()) + first * kProjected,
                             {n, kProjected}, at::kFloat)
            .to(at::kDouble);
    }
};

/// Factor L of the mean outer product L L' of the gradients of all ranks, damped. Collective.
at::Tensor factor_of(Rows const& mine, std::int64_t samples, cluster::Communicator& world) {
    at::Tensor sum = at::zeros({kProjected, kProjected}, at::kDouble);
    for (std::int64_t first = 0; first < mine.count(); first += kAtOnce) {
        at::Tensor const rows = mine.block(first);
        sum.addmm_(rows.t(), rows);
    }
    world.all_reduce(parallel::buffer_of(sum), cluster::ReduceOp::sum, "influence/metric").wait();
    sum /= static_cast<double>(std::max<std::int64_t>(1, samples));
    double const trace = sum.trace().item<double>();
    if (!std::isfinite(trace))
        throw cluster::JobError("--influence: gradients of training samples are not finite");
    // A model that is sure of every sample has no gradients at all, and any metric does.
    sum.diagonal().add_(trace > 0 ? kDamping * trace / static_cast<double>(kProjected) : 1.0);
    return at::linalg_cholesky(sum);
}

/// L^-1 of each row, of length 1.
at::Tensor whitened(at::Tensor const& factor, at::Tensor const& rows) {
    at::Tensor const found = at::linalg_solve_triangular(factor, rows.t(), false).t();
    return found / found.norm(2, 1, true).clamp_min(1e-300);
}

/// Cosines in the metric, [samples, texts].
std::vector<float> influences_of(Rows const& texts, Rows const& mine, at::Tensor const& factor) {
    std::vector<float> found;
    if (texts.count() == 0) return found;
    std::vector<at::Tensor> parts;
    for (std::int64_t first = 0; first < texts.count(); first += kAtOnce)
        parts.push_back(whitened(factor, texts.block(first)));
    at::Tensor const wanted = at::cat(parts).t();
    for (std::int64_t first = 0; first < mine.count(); first += kAtOnce) {
        at::Tensor const part = at::mm(whitened(factor, mine.block(first)), wanted).to(at::kFloat);
        auto const* const values = part.const_data_ptr<float>();
        found.insert(found.end(), values, values + part.numel());
    }
    return found;
}

} // namespace

Similarities Influences::similarities(
    std::vector<AttributedText> const& texts, std::vector<std::int32_t> const& labels,
    std::function<void(std::int64_t done, std::int64_t all)> const& progress) const {
    auto& state = *state_;
    auto& world = state.mesh.world();
    auto const own = samples_of(texts, labels, state.set->task().kind, state.model);
    std::vector<Direction> wanted;
    Rows of_texts, of_samples;
    for (std::int64_t i = 0; i < own->size(); ++i)
        of_texts.add(wanted.emplace_back(state.direction(own->read({i}, 1))));
    Similarities mine;
    for (std::int64_t i = world.rank(); i < state.set->size(); i += world.size()) {
        auto const direction = state.direction(state.set->read({i}, 1));
        of_samples.add(direction);
        for (auto const& one : wanted) {
            mine.head.push_back(product(one.head, direction.head));
            mine.cosine.push_back(product(one.projected, direction.projected));
        }
        if (world.rank() == 0 && i / world.size() % kTold == 0) progress(i, state.set->size());
    }
    mine.influence =
        influences_of(of_texts, of_samples, factor_of(of_samples, state.set->size(), world));
    auto const all = [&](std::vector<float> const& part, char const* name) {
        return in_order(cluster::all_gather_values(world, part, name), texts.size(),
                        static_cast<std::size_t>(state.set->size()));
    };
    return {all(mine.head, "influence/head"), all(mine.cosine, "influence/cosine"),
            all(mine.influence, "influence/influence")};
}

} // namespace trireme::framework::jobs
