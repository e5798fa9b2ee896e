#include "framework/jobs/attribute.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "cluster/error.hpp"
#include "cluster/topology.hpp"
#include "framework/config/layout_config.hpp"
#include "framework/inputs/loaded_model.hpp"
#include "framework/inputs/model_config.hpp"
#include "framework/jobs/attribution_path.hpp"
#include "framework/jobs/deleted_tokens.hpp"
#include "framework/jobs/prediction_lines.hpp"
#include "framework/model/layer_names.hpp"
#include "framework/model/probabilities.hpp"
#include "framework/parallelize/numerics.hpp"
#include "framework/pretrained/hf_config.hpp"
#include "framework/pretrained/weights.hpp"
#include "framework/tasks/task.hpp"

namespace trireme::framework::jobs {

namespace {

constexpr std::int64_t kRowsOfLogits = 256; ///< of a language model, computed at a time

tasks::Task const& task_to_attribute(std::string const& folder, model::Config const& model) {
    std::string const found = pretrained::transformers_class_of(model);
    if (pretrained::is_classifier(model)) {
        auto const* task = tasks::task_of_samples(pretrained::problem_of(model));
        return task ? *task : tasks::task_of(data::TaskKind::classification);
    }
    if (model.causal && (found.ends_with("ForCausalLM") || found.ends_with("LMHeadModel")))
        return tasks::task_of(data::TaskKind::language_modeling);
    throw cluster::InputError(fmt::format(
        "{}/config.json: architectures: {}: legal: ...ForSequenceClassification, or ...ForCausalLM",
        folder, found.empty() ? "none" : found));
}

config::Config attribution_settings(std::string const& folder, AttributionJob const& job,
                                    std::string const& task) {
    auto config =
        config::layout_config("trireme attribute", {"numerics.compute"}, job.set, folder, task);
    config.numerics.mode = parallelize::NumericsMode::bitwise;
    return config;
}

/// Nothing is trained: layers make gradients of their inputs alone.
model::Config frozen_model(config::Config const& config, std::vector<std::string> const& labels) {
    auto model = inputs::read_model_config(config, labels);
    pretrained::check_complete(config.model, model);
    model.frozen = {"*"};
    return model;
}

std::vector<std::string> labels_of(tasks::Task const& task, model::Config const& body) {
    return task.schema().least_labels > 0 ? pretrained::class_names_of(body)
                                          : std::vector<std::string>();
}

} // namespace

bool is_language_model(std::string const& folder) {
    return task_to_attribute(folder, pretrained::read_hf_config(folder)).kind() ==
           data::TaskKind::language_modeling;
}

struct AttributedModel::State {
    State(std::string const& name, AttributionJob const& asked, tasks::Task const& of_head,
          model::Config const& body, cluster::Communicator& world)
        : folder(name), job(asked), task(of_head),
          config(attribution_settings(folder, job, task.schema().name)),
          model(frozen_model(config, labels_of(task, body))),
          mesh(world, parallelize::mesh_shape(config.parallel, world.size())),
          loaded(config, model, mesh, inputs::Purpose::inference), rows(model, loaded.store()) {
        loaded.read_trained_weights(
            "a model that `trireme export` wrote, or one with a trained head");
        if (job.baseline == Baseline::token && job.baseline_token >= model.vocabulary)
            throw cluster::InputError(fmt::format(
                "--baseline: token {}: legal: 0 to {}, the vocab_size of {}/config.json",
                job.baseline_token, model.vocabulary - 1, folder));
    }

    /// Rows of the baseline, [T, D]; `own`: those of the text.
    at::Tensor baseline_of(AttributedText const& text, at::Tensor const& own) {
        at::Tensor base = at::zeros_like(own);
        if (job.baseline == Baseline::token) {
            data::Sample filled = text.sample;
            std::ranges::fill(filled.tokens, job.baseline_token);
            base = rows.rows(pass_of({filled}));
        } else if (job.baseline == Baseline::mean) {
            base = mean_row().expand_as(own).clone();
        }
        for (std::size_t t = 0; t < text.fixed.size(); ++t) {
            auto const place = static_cast<std::int64_t>(t);
            if (text.fixed[t]) base[place].copy_(own[place]);
        }
        return base;
    }
    /// [1, D], over all words of the vocabulary, scaled as the rows are.
    at::Tensor const& mean_row() {
        if (mean.defined()) return mean;
        data::Sample all;
        all.tokens.resize(static_cast<std::size_t>(model.vocabulary));
        std::iota(all.tokens.begin(), all.tokens.end(), 0);
        return mean = rows.rows(pass_of({all})).mean(0, true);
    }
    void check_finite(std::vector<double> const& numbers) const {
        if (!std::ranges::all_of(numbers, [](double x) { return std::isfinite(x); }))
            throw cluster::JobError(
                fmt::format("{}: an output is not a finite number: the weights are too large for "
                            "float32; --set numerics.compute=fp64 computes in float64",
                            folder));
    }
    /// The probability of the target, or the number itself, for each sample.
    std::vector<double> scores(std::vector<data::Sample> const& samples, std::int64_t target) {
        auto const logits = loaded.part().logits(pass_of(samples)).to(at::kFloat).contiguous();
        auto const outputs = static_cast<std::size_t>(logits.size(1));
        std::vector<double> found;
        for (std::size_t i = 0; i < samples.size(); ++i) {
            std::span const row(logits.const_data_ptr<float>() + i * outputs, outputs);
            auto const place = static_cast<std::size_t>(target);
            found.push_back(
                model.head == model::HeadKind::classification ? model::softmax(row)[place]
                : model.head == model::HeadKind::multi_label  ? model::sigmoid(row[place])
                                                              : static_cast<double>(row[place]));
        }
        return found;
    }

    /// The probability of a token behind each sample.
    std::vector<double> next_probabilities(std::vector<data::Sample> const& samples,
                                           std::int32_t next) {
        at::NoGradGuard const no_graph;
        auto const pass = pass_of(samples);
        return numbers_of(rows.log_probabilities(rows.rows(pass), pass, next).exp().flatten());
    }
    Deletion deletion_of(AttributedText const& text, Attribution const& found, std::int32_t next,
                         std::int64_t number);
    /// `next`: -1, or the token whose log-probability is the one output.
    Attribution explain(AttributedText const& text, std::int64_t target, std::int32_t next,
                        std::int64_t number);

    std::string folder;
    AttributionJob job;
    tasks::Task const& task;
    config::Config config; ///< to this and the model the loaded one refers
    model::Config model;
    parallel::Mesh mesh;
    inputs::LoadedModel loaded;
    RowModel rows;
    at::Tensor mean; ///< made when it is first asked for
};

AttributedModel::AttributedModel(std::string const& folder, AttributionJob const& job,
                                 cluster::Communicator& world) {
    parallelize::configure_numerics({.mode = parallelize::NumericsMode::bitwise},
                                    cluster::topology(world).cores_per_rank);
    model::Config const body = pretrained::read_hf_config(folder);
    state_ = std::make_unique<State>(folder, job, task_to_attribute(folder, body), body, world);
}
AttributedModel::~AttributedModel() = default;

std::string const& AttributedModel::folder() const {
    return state_->folder;
}
bool AttributedModel::is_language_model() const {
    return state_->task.kind() == data::TaskKind::language_modeling;
}
data::TaskSchema const& AttributedModel::task() const {
    return state_->task.schema();
}
std::vector<std::string> const& AttributedModel::labels() const {
    return state_->model.labels;
}
std::int64_t AttributedModel::vocabulary() const {
    return state_->model.vocabulary;
}
void AttributedModel::check(AttributedText const& text) const {
    check_texts({{.windows = {text.sample}}}, state_->folder, state_->model);
}

namespace {

/// With as many steps as the job has, or as it takes.
void integrate(Path const& path, AttributionJob const& job, std::int64_t at_once,
               Attribution& found) {
    for (std::int64_t steps = job.steps > 0 ? job.steps : kFirstSteps;; steps *= 2) {
        found.integrated = path.integrate(steps, found.target, at_once);
        found.steps = steps;
        if (job.steps > 0 || steps >= kMostSteps || found.error() <= job.tolerance) return;
    }
}

} // namespace

Deletion AttributedModel::State::deletion_of(AttributedText const& text, Attribution const& found,
                                             std::int32_t next, std::int64_t number) {
    DeletedTokens const deleted(
        text, found.integrated.empty() ? found.gradient_x_input : found.integrated,
        static_cast<std::uint64_t>(number));
    if (deleted.count() == 0) return {};
    return deleted.judge(next < 0 ? scores(deleted.samples(), found.target)
                                  : next_probabilities(deleted.samples(), next));
}

Attribution AttributedModel::State::explain(AttributedText const& text, std::int64_t target,
                                            std::int32_t next, std::int64_t number) {
    at::Tensor const own = rows.rows(pass_of({text.sample}));
    Path const path(rows, text.sample, baseline_of(text, own), own, next);
    Attribution found;
    auto const ends = path.at_points({0, 1}, -1).outputs;
    found.outputs = numbers_of(ends[1]);
    check_finite(found.outputs);
    found.target =
        target >= 0 ? target : std::ranges::max_element(found.outputs) - found.outputs.begin();
    found.baseline_output = ends[0][found.target].item().toDouble();
    auto const slope = path.at_points({1}, found.target).gradients[0];
    found.gradient_x_input = numbers_of((slope * own).to(at::kDouble).sum(1));
    auto const at_once = std::max<std::int64_t>(1, job.tokens_per_micro_batch / own.size(0));
    if (job.integrated) integrate(path, job, at_once, found);
    found.deletion = deletion_of(text, found, next, number);
    return found;
}

Attribution AttributedModel::attribute(AttributedText const& text, std::int64_t target,
                                       std::int64_t number) const {
    return state_->explain(text, target, -1, number);
}

Attribution AttributedModel::attribute_token(AttributedText const& text, std::int64_t place,
                                             std::int64_t number) const {
    auto const count = static_cast<std::size_t>(place);
    AttributedText before = text;
    before.sample.tokens.resize(count);
    before.sample.segments.resize(std::min(count, text.sample.segments.size()));
    before.fixed.resize(count);
    Attribution found = state_->explain(before, 0, text.sample.tokens.at(count), number);
    found.gradient_x_input.resize(text.sample.tokens.size(), 0.0);
    if (!found.integrated.empty()) found.integrated.resize(text.sample.tokens.size(), 0.0);
    return found;
}

namespace {

/// A pass whose samples end at rows first, first + 1, ...
model::Pass ending_at(std::int64_t first, std::int64_t count) {
    model::Pass pass;
    pass.micro_batch.offsets.resize(static_cast<std::size_t>(count) + 1);
    std::iota(pass.micro_batch.offsets.begin(), pass.micro_batch.offsets.end(), first);
    return pass;
}

/// `shares`: logarithms of the probabilities of all tokens, [V].
TokenLoss loss_of(at::Tensor const& shares, std::int32_t token) {
    auto const own = shares[token];
    auto const [most, likeliest] = shares.max(0);
    return {-own.item<double>(), (shares > own).sum().item<std::int64_t>(),
            static_cast<std::int32_t>(likeliest.item<std::int64_t>()),
            std::exp(most.item<double>())};
}

} // namespace

std::vector<TokenLoss> AttributedModel::losses(AttributedText const& text) const {
    auto& stage = state_->loaded.part();
    auto const pass = pass_of({text.sample});
    auto const& tokens = text.sample.tokens;
    at::Tensor const hidden = stage.layers_of(pass, at::zeros({1}));
    std::vector<TokenLoss> losses;
    for (std::int64_t first = 0; first + 1 < std::ssize(tokens); first += kRowsOfLogits) {
        auto const n = std::min(kRowsOfLogits, std::ssize(tokens) - 1 - first);
        at::Tensor const logits = stage.next_logits(ending_at(first, n), hidden);
        at::Tensor const shares = at::log_softmax(logits.to(at::kDouble), 1);
        for (std::int64_t i = 0; i < n; ++i)
            losses.push_back(loss_of(shares[i], tokens[static_cast<std::size_t>(first + i + 1)]));
    }
    state_->check_finite(numbers_of(hidden));
    return losses;
}

} // namespace trireme::framework::jobs
