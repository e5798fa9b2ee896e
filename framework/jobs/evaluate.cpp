#include "framework/jobs/evaluate.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <utility>

#include "cluster/error.hpp"
#include "cluster/topology.hpp"
#include "data/manifest.hpp"
#include "data/memory_dataset.hpp"
#include "data/tokenizer_files.hpp"
#include "framework/config/layout_config.hpp"
#include "framework/evaluation/answers.hpp"
#include "framework/evaluation/evaluator.hpp"
#include "framework/inputs/loaded_model.hpp"
#include "framework/inputs/masked_data.hpp"
#include "framework/inputs/model_config.hpp"
#include "framework/parallelize/compute_device.hpp"
#include "framework/parallelize/numerics.hpp"
#include "framework/pretrained/hf_config.hpp"
#include "framework/pretrained/weights.hpp"
#include "framework/tasks/task.hpp"

namespace trireme::framework::jobs {

namespace {

std::vector<std::string> const kSettings{"parallel.", "numerics.compute"};

/// Refers to the outcome and to the names.
tasks::Prediction prediction_of(evaluation::Outcome const& outcome, std::size_t i,
                                std::vector<std::string> const& labels) {
    auto const outputs = static_cast<std::size_t>(outcome.outputs);
    auto const row = [&](std::vector<float> const& rows) {
        return rows.empty() ? std::span<float const>()
                            : std::span(rows).subspan(i * outputs, outputs);
    };
    return {outcome.samples[i], labels, row(outcome.logits), row(outcome.targets)};
}

/// A line for each question, of all its windows.
std::string lines_of_answers(evaluation::Outcome const& outcome) {
    std::string text;
    for (auto const& answer : evaluation::answers_of(outcome))
        text += evaluation::to_json(answer).dump(-1, ' ', false,
                                                 nlohmann::ordered_json::error_handler_t::replace) +
                "\n";
    return text;
}

void write_predictions(cluster::OutputFile& file, evaluation::Outcome const& outcome,
                       data::Dataset const& set) {
    if (outcome.questions) return file.write(lines_of_answers(outcome));
    tasks::Task const& task = tasks::task_of(set.task().kind);
    std::string text;
    std::size_t word = 0;
    for (std::size_t i = 0; i < outcome.samples.size(); ++i) {
        auto const& r = outcome.samples[i];
        nlohmann::ordered_json line{{"sample", r.sample}};
        if (std::string const source = set.source(r.sample); !source.empty())
            line["source"] = source;
        line.update({{"loss", r.loss}, {"trained", r.trained}});
        tasks::Prediction found = prediction_of(outcome, i, set.label_names());
        if (!outcome.words.empty()) {
            auto const own = static_cast<std::size_t>(2 * r.trained);
            found.words = std::span(outcome.words).subspan(std::exchange(word, word + own), own);
        }
        if (!outcome.spans.empty())
            found.spans =
                std::span(outcome.spans).subspan(i * model::kSpansOfWindow, model::kSpansOfWindow);
        task.describe_label(found, line);
        task.describe(found, line);
        text += line.dump() + "\n";
    }
    file.write(text);
}

/// A mean of what is not a number would be quoted as null.
void check_finite(EvaluationJob const& job, evaluation::Outcome const& outcome) {
    for (auto const& r : outcome.samples)
        if (!std::isfinite(r.loss))
            throw cluster::JobError(fmt::format(
                "{}: sample {} of {} {}: the loss is not a finite number: the weights are too "
                "large for float32; --set numerics.compute=fp64 computes in float64",
                job.model, r.sample, job.data, job.split));
}

/// A score is quoted: the same bits on any number of ranks and threads.
void configure(EvaluationJob const& job, cluster::Communicator& world) {
    parallelize::configure_numerics({.mode = parallelize::NumericsMode::bitwise},
                                    cluster::topology(world).cores_per_rank);
    if (job.tokens_per_micro_batch < 1)
        throw cluster::InputError(
            fmt::format("--tokens-per-micro-batch: {}: legal: a whole number >= 1",
                        job.tokens_per_micro_batch));
}

/// The whole model with its weights, on a mesh over all ranks.
class Scorer {
  public:
    /// `config` and `model` must outlive it. Collective. Throws InputError if the folder has no
    /// weights of the head; `legal` says what has.
    Scorer(config::Config const& config, model::Config const& model, cluster::Communicator& world,
           std::string const& legal)
        : place_(config.parallel, config.numerics, world, cluster::CommunicatorOptions{}.deadline),
          mesh_(place_.world(), parallelize::mesh_shape(config.parallel, world.size())),
          model_(config, model, mesh_, inputs::Purpose::inference, place_.device()) {
        model_.read_trained_weights(legal);
    }
    evaluation::Outcome outcome(data::Dataset const& set, std::int64_t tokens,
                                evaluation::Pooling pooling = evaluation::Pooling::mean) {
        return evaluation::Evaluator(
                   model_, {samples_per_plan, tokens, mesh_.along(parallel::Axis::tensor).size()},
                   pooling)
            .outcome(set);
    }

  private:
    parallelize::ComputeDevice place_;
    parallel::Mesh mesh_;
    inputs::LoadedModel model_;
};

/// A score is quoted: its arithmetic is the same on any number of ranks.
config::Config read_settings(std::string const& command, EvaluationJob const& job,
                             std::string const& task) {
    config::Config config = config::layout_config(command, kSettings, job.set, job.model, task);
    config.numerics.mode = parallelize::NumericsMode::bitwise;
    return config;
}

} // namespace

Evaluation evaluate_model(EvaluationJob const& job, cluster::Communicator& world) {
    configure(job, world);
    auto set = data::open_dataset(job.data, job.split);
    set->verify(world.rank(), world.size());
    config::Config config = read_settings("trireme evaluate", job, set->task().name);
    config.data.path = job.data;
    model::Config const model = inputs::read_model_config(config, set->label_names());
    set = inputs::with_masks(std::move(set), config, model, {});
    inputs::check_fit(model, *set, config);
    data::check_same_tokenizer(job.data, data::read_manifest(job.data).tokenizer_xxh3, job.model);
    pretrained::check_complete(config.model, model);
    Scorer scorer(config, model, world,
                  "a model that `trireme export` wrote for the labels of " + job.data);
    auto const outcome = scorer.outcome(*set, job.tokens_per_micro_batch, job.pooling);
    check_finite(job, outcome);
    if (world.rank() == 0 && job.predictions) write_predictions(*job.predictions, outcome, *set);
    return {evaluation::summarize(outcome), config.numerics.compute, set->label_names()};
}

namespace {

void write_choices(cluster::OutputFile& file, ChoiceJob const& choices,
                   std::vector<evaluation::RankedChoices> const& ranked) {
    std::string text;
    for (std::size_t q = 0; q < ranked.size(); ++q)
        text += evaluation::to_json(choices.questions[q], ranked[q], choices.labels)
                    .dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) +
                "\n";
    file.write(text);
}

} // namespace

Evaluation evaluate_choices(EvaluationJob const& job, ChoiceJob choices,
                            cluster::Communicator& world) {
    configure(job, world);
    bool const causal = pretrained::read_hf_config(job.model).causal;
    auto const& task = data::schema_of(causal ? data::TaskKind::language_modeling
                                              : data::TaskKind::masked_language_modeling);
    config::Config const config = read_settings("trireme evaluate", job, task.name);
    model::Config const model = inputs::read_model_config(config, {});
    auto const set = data::make_memory_dataset(data::TaskKind::language_modeling,
                                               std::move(choices.samples), {}, choices.vocabulary);
    inputs::check_fit(model, *set, config);
    pretrained::check_complete(config.model, model);
    Scorer scorer(config, model, world, "a model with the head of a language model");
    auto const outcome = scorer.outcome(*set, job.tokens_per_micro_batch);
    check_finite(job, outcome);
    auto const ranked = evaluation::rank_choices(choices.questions, outcome.samples);
    if (world.rank() == 0 && job.predictions) write_choices(*job.predictions, choices, ranked);
    return {evaluation::summarize_choices(choices.questions, ranked, choices.labels),
            config.numerics.compute, choices.labels};
}

struct Predictor::State {
    /// Collective.
    State(EvaluationJob const& job, tasks::Task const& of_head, config::Config const& settings,
          model::Config of_labels, cluster::Communicator& world)
        : task(of_head), config(settings), model(std::move(of_labels)),
          tokens_per_micro_batch(job.tokens_per_micro_batch),
          scorer(config, model, world,
                 "a model that `trireme export` wrote, or one with a trained head") {}

    tasks::Task const& task;
    config::Config config; ///< to this and the model the scorer refers
    model::Config model;
    std::int64_t tokens_per_micro_batch;
    Scorer scorer;
};

namespace {

/// The task of a folder whose head reads whole samples.
tasks::Task const& task_of_folder(std::string const& folder, model::Config const& model) {
    auto const* named = tasks::task_of_samples(pretrained::problem_of(model));
    tasks::Task const& task = named ? *named : tasks::task_of(data::TaskKind::classification);
    if (!pretrained::is_classifier(model))
        throw cluster::InputError(fmt::format(
            "{0}/config.json: architectures: {1}: legal: ...ForSequenceClassification, a model "
            "that "
            "was trained to give a text a label or numbers; completions: trireme generate {0}",
            folder, pretrained::transformers_class_of(model)));
    if (auto const labels = std::ssize(pretrained::class_names_of(model));
        labels < task.schema().least_labels)
        throw cluster::InputError(fmt::format("{}/config.json: id2label: {} entries: legal: {} or "
                                              "more",
                                              folder, labels, task.schema().least_labels));
    return task;
}

data::Sample sample_of(Predictor::Text&& text, data::TaskSchema const& task, std::int64_t outputs) {
    data::Sample sample{.tokens = std::move(text.tokens), .segments = std::move(text.segments)};
    for (auto const& column : task.columns) {
        auto const width = static_cast<std::size_t>(column.width_for(outputs));
        if (column.values == data::Values::reals)
            sample.reals[column.name].assign(width, std::numeric_limits<float>::quiet_NaN());
        else
            sample.labels[column.name].assign(width, data::kIgnoredLabel);
    }
    return sample;
}

void check_text(Predictor::Text const& text, std::string const& folder,
                model::Config const& model) {
    for (auto const token : text.tokens)
        if (token < 0 || token >= model.vocabulary)
            throw cluster::InputError(fmt::format(
                "{}/tokenizer.json: token {}: legal: 0 to {}, the vocab_size of config.json",
                folder, token, model.vocabulary - 1));
    if (std::ssize(text.tokens) > model.max_positions)
        throw cluster::InputError(fmt::format("--max-length: a text of {} tokens: legal: at most "
                                              "{}, the positions of {}/config.json",
                                              text.tokens.size(), model.max_positions, folder));
    for (auto const segment : text.segments)
        if (model.token_types > 0 && segment >= model.token_types)
            throw cluster::InputError(fmt::format(
                "--pair: segment {}: legal: 0 to {}, the type_vocab_size of {}/config.json",
                segment, model.token_types - 1, folder));
}

} // namespace

Predictor::Predictor(EvaluationJob const& job, cluster::Communicator& world) {
    configure(job, world);
    model::Config const body = pretrained::read_hf_config(job.model);
    tasks::Task const& task = task_of_folder(job.model, body);
    config::Config const config = read_settings("trireme predict", job, task.schema().name);
    model::Config model = inputs::read_model_config(config, pretrained::class_names_of(body));
    pretrained::check_complete(config.model, model);
    state_ = std::make_unique<State>(job, task, config, std::move(model), world);
}

Predictor::~Predictor() = default;

std::vector<nlohmann::ordered_json> Predictor::predict(std::vector<Text> texts) {
    auto const labels = state_->model.labels;
    std::vector<data::Sample> samples;
    for (auto& text : texts) {
        check_text(text, state_->config.model.path, state_->model);
        samples.push_back(sample_of(std::move(text), state_->task.schema(), std::ssize(labels)));
    }
    if (samples.empty()) return {};
    auto const set = data::make_memory_dataset(state_->task.kind(), std::move(samples), labels,
                                               state_->model.vocabulary);
    auto const outcome = state_->scorer.outcome(*set, state_->tokens_per_micro_batch);
    // Without a label there is no loss that would show it.
    if (!std::ranges::all_of(outcome.logits, [](float x) { return std::isfinite(x); }))
        throw cluster::JobError(fmt::format(
            "{}: an output is not a finite number: the weights are too large for float32; --set "
            "numerics.compute=fp64 computes in float64",
            state_->config.model.path));
    std::vector<nlohmann::ordered_json> lines(outcome.samples.size());
    for (std::size_t i = 0; i < lines.size(); ++i)
        state_->task.describe(prediction_of(outcome, i, labels), lines[i]);
    return lines;
}

} // namespace trireme::framework::jobs
