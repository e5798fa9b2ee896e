#include "framework/jobs/evaluate.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "cluster/error.hpp"
#include "data/manifest.hpp"
#include "data/memory_dataset.hpp"
#include "data/shots.hpp"
#include "data/tokenizer_files.hpp"
#include "framework/evaluation/documents.hpp"
#include "framework/evaluation/neighbours.hpp"
#include "framework/inputs/masked_data.hpp"
#include "framework/inputs/model_config.hpp"
#include "framework/jobs/scorer.hpp"
#include "framework/pretrained/hf_config.hpp"
#include "framework/pretrained/weights.hpp"
#include "framework/tasks/task.hpp"

namespace trireme::framework::jobs {

namespace {

/// A mean of what is not a number would be quoted as null.
void check_finite(EvaluationJob const& job, evaluation::Outcome const& outcome) {
    for (auto const& r : outcome.samples)
        if (!std::isfinite(r.loss))
            throw cluster::JobError(fmt::format(
                "{}: sample {} of {} {}: the loss is not a finite number: the weights are too "
                "large for float32; --set numerics.compute=fp64 computes in float64",
                job.model, r.sample, job.data, job.split));
}

} // namespace

Evaluation evaluate_model(EvaluationJob const& job, cluster::Communicator& world) {
    configure_scores(job, world);
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
    auto const outcome =
        scorer.outcome(*set, job.tokens_per_micro_batch, job.pooling, job.progress);
    check_finite(job, outcome);
    if (world.rank() == 0 && job.predictions) job.predictions->write(labelled_lines(outcome, *set));
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
    configure_scores(job, world);
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
    auto const found = scorer.outcome(*set, job.tokens_per_micro_batch, job.pooling, job.progress);
    check_finite(job, found);
    auto const ranked = evaluation::rank_choices(choices.questions, found.samples);
    if (world.rank() == 0 && job.predictions) write_choices(*job.predictions, choices, ranked);
    return {evaluation::summarize_choices(choices.questions, ranked, choices.labels),
            config.numerics.compute, choices.labels};
}

namespace {

void check_neighbours(EvaluationJob const& job, NeighbourJob const& how, data::Dataset const& set,
                      data::Dataset const& train) {
    data::check_shots(set, job.data, job.split);
    if (how.shots < 1)
        throw cluster::InputError(fmt::format(
            "--shots: {}: legal without --template: a whole number >= 1, of texts among which the "
            "nearest are",
            how.shots));
    if (how.nearest < 1 || how.nearest > how.shots)
        throw cluster::InputError(
            fmt::format("--neighbours: {}: legal: 1 to {}, the --shots", how.nearest, how.shots));
    for (auto const* texts : {&set, &train})
        if (!evaluation::documents_of(*texts).empty())
            throw cluster::InputError(fmt::format(
                "--shots: {} has texts divided into windows; legal: data prepared without "
                "--windows",
                job.data));
}

evaluation::EmbeddedTexts embedded(Scorer& scorer, EvaluationJob const& job,
                                   data::Dataset const& set, std::vector<std::int64_t> samples,
                                   evaluation::Progress const& progress = {}) {
    evaluation::EmbeddedTexts texts{
        .values = scorer.embeddings(set, samples, job.tokens_per_micro_batch, progress)};
    texts.width = std::ssize(texts.values) / std::ssize(samples);
    for (auto const sample : samples) {
        texts.labels.push_back(set.class_of(sample));
        texts.sources.push_back(set.source(sample));
    }
    if (!std::ranges::all_of(texts.values, [](double x) { return std::isfinite(x); }))
        throw cluster::JobError(fmt::format(
            "{}: an embedding is not a finite number: the weights are too large for float32; --set "
            "numerics.compute=fp64 computes in float64",
            job.model));
    return texts;
}

std::vector<std::int64_t> labelled_samples(data::Dataset const& set, std::string const& name) {
    std::vector<std::int64_t> samples;
    for (std::int64_t i = 0; i < set.size(); ++i)
        if (set.class_of(i) >= 0) samples.push_back(i);
    if (samples.empty())
        throw cluster::InputError(name + ": no sample with a label; legal: one or more");
    return samples;
}

} // namespace

Evaluation evaluate_neighbours(EvaluationJob const& job, NeighbourJob const& how,
                               cluster::Communicator& world) {
    configure_scores(job, world);
    auto const set = data::open_dataset(job.data, job.split),
               train = data::open_dataset(job.data, "train");
    check_neighbours(job, how, *set, *train);
    for (auto const* texts : {&*set, &*train}) texts->verify(world.rank(), world.size());
    auto const shots = data::choose_shots(*train, how.shots, how.seed),
               tests = labelled_samples(*set, job.data + " " + job.split);
    config::Config config = read_settings("trireme evaluate", job, set->task().name);
    config.data.path = job.data;
    auto const& labels = set->label_names();
    model::Config const model = inputs::read_model_config(config, labels);
    for (auto const* texts : {&*set, &*train}) inputs::check_fit(model, *texts, config);
    data::check_same_tokenizer(job.data, data::read_manifest(job.data).tokenizer_xxh3, job.model);
    pretrained::check_weights(config.model, model);
    Scorer scorer(config, model, world, "");
    auto const known = embedded(scorer, job, *train, shots),
               asked = embedded(scorer, job, *set, tests, job.progress);
    auto const found = evaluation::find_neighbours(known, asked, how.nearest, std::ssize(labels));
    std::string lines;
    for (std::size_t i = 0; i < found.size(); ++i)
        lines += evaluation::to_json(found[i], asked, i, known, labels).dump() + "\n";
    if (world.rank() == 0 && job.predictions) job.predictions->write(lines);
    return {evaluation::summarize_neighbours(found, asked, std::ssize(labels)),
            config.numerics.compute, labels};
}

struct Predictor::State {
    /// Collective.
    State(EvaluationJob const& job, tasks::Task const& of_head, config::Config const& settings,
          model::Config of_labels, cluster::Communicator& world)
        : task(of_head), config(settings), model(std::move(of_labels)),
          tokens_per_micro_batch(job.tokens_per_micro_batch), pooling(job.pooling),
          choice(job.choice),
          scorer(config, model, world,
                 "a model that `trireme export` wrote, or one with a trained head") {}

    tasks::Task const& task;
    config::Config config; ///< to this and the model the scorer refers
    model::Config model;
    std::int64_t tokens_per_micro_batch;
    evaluation::Pooling pooling;
    Choice choice;
    Scorer scorer;
};

namespace {

/// Names of the outputs that a folder has for a task.
std::vector<std::string> labels_for(tasks::Task const& task, model::Config const& model) {
    bool const named = task.schema().least_labels > 0;
    return named ? pretrained::class_names_of(model) : std::vector<std::string>();
}

/// The task of the head that config.json names; null for one of samples.
tasks::Task const* task_of_tokens(std::string const& class_of_transformers) {
    if (class_of_transformers.ends_with("ForTokenClassification"))
        return &tasks::task_of(data::TaskKind::token_classification);
    if (class_of_transformers.ends_with("ForQuestionAnswering"))
        return &tasks::task_of(data::TaskKind::question_answering);
    if (class_of_transformers.ends_with("ForMaskedLM"))
        return &tasks::task_of(data::TaskKind::masked_language_modeling);
    return nullptr;
}

tasks::Task const& task_to_predict(std::string const& folder, model::Config const& model) {
    std::string const found = pretrained::transformers_class_of(model);
    auto const* task = task_of_tokens(found);
    if (!task && !pretrained::is_classifier(model))
        throw cluster::InputError(fmt::format(
            "{0}/config.json: architectures: {1}: legal: ...ForSequenceClassification, "
            "...ForTokenClassification, ...ForQuestionAnswering or ...ForMaskedLM, a model that "
            "was trained to give texts labels, numbers, answers or hidden words; completions: "
            "trireme generate {0}",
            folder, found));
    if (!task) task = tasks::task_of_samples(pretrained::problem_of(model));
    if (!task) task = &tasks::task_of(data::TaskKind::classification);
    if (auto const labels = std::ssize(labels_for(*task, model));
        labels < task->schema().least_labels)
        throw cluster::InputError(fmt::format("{}/config.json: id2label: {} entries: legal: {} or "
                                              "more",
                                              folder, labels, task->schema().least_labels));
    return *task;
}

/// Without labels there may be no loss that would show it.
bool is_finite(evaluation::Outcome const& outcome) {
    auto const finite = [](auto const& x) { return std::isfinite(x); };
    bool spans = true;
    for (std::size_t i = 0; i < outcome.spans.size(); ++i)
        spans &= (i % model::kSpansOfWindow != 0 && outcome.spans[i].first < 0) ||
                 std::isfinite(outcome.spans[i].score);
    return spans && std::ranges::all_of(outcome.logits, finite) &&
           std::ranges::all_of(outcome.samples, finite, &model::SampleResult::loss);
}

void check_finite(std::string const& folder, bool finite) {
    if (!finite)
        throw cluster::JobError(fmt::format(
            "{}: an output is not a finite number: the weights are too large for float32; --set "
            "numerics.compute=fp64 computes in float64",
            folder));
}

} // namespace

data::TaskSchema const& task_of_model(std::string const& folder) {
    return task_to_predict(folder, pretrained::read_hf_config(folder)).schema();
}

Predictor::Predictor(EvaluationJob const& job, cluster::Communicator& world) {
    configure_scores(job, world);
    model::Config const body = pretrained::read_hf_config(job.model);
    tasks::Task const& task = task_to_predict(job.model, body);
    config::Config const config = read_settings("trireme predict", job, task.schema().name);
    model::Config model = inputs::read_model_config(config, labels_for(task, body));
    pretrained::check_complete(config.model, model);
    state_ = std::make_unique<State>(job, task, config, std::move(model), world);
}

Predictor::~Predictor() = default;

std::vector<nlohmann::ordered_json> Predictor::predict(std::vector<UnlabelledText> const& texts) {
    if (texts.empty()) return {};
    check_texts(texts, state_->config.model.path, state_->model);
    if (state_->task.kind() == data::TaskKind::masked_language_modeling) {
        // Hidden tokens are labels, as masked data have them once words are hidden.
        auto const hidden =
            dataset_of(texts, data::schema_of(data::TaskKind::language_modeling), state_->model);
        auto const fills =
            state_->scorer.fills(*hidden, state_->tokens_per_micro_batch, state_->choice.words);
        check_finite(state_->config.model.path, std::ranges::all_of(fills, [](auto const& fill) {
                         return std::isfinite(fill.probability);
                     }));
        return filled_lines(fills, texts);
    }
    auto const set = dataset_of(texts, state_->task.schema(), state_->model);
    auto const outcome =
        state_->scorer.outcome(*set, state_->tokens_per_micro_batch, state_->pooling);
    check_finite(state_->config.model.path, is_finite(outcome));
    return unlabelled_lines(outcome, texts, *set, state_->choice);
}

} // namespace trireme::framework::jobs
