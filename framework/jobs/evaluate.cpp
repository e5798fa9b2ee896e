#include "framework/jobs/evaluate.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "cluster/error.hpp"
#include "cluster/gather_values.hpp"
#include "cluster/topology.hpp"
#include "data/manifest.hpp"
#include "data/memory_dataset.hpp"
#include "data/tokenizer_files.hpp"
#include "framework/config/layout_config.hpp"
#include "framework/evaluation/evaluator.hpp"
#include "framework/evaluation/fills.hpp"
#include "framework/inputs/loaded_model.hpp"
#include "framework/inputs/masked_data.hpp"
#include "framework/inputs/model_config.hpp"
#include "framework/parallelize/compute_device.hpp"
#include "framework/parallelize/numerics.hpp"
#include "framework/pretrained/hf_config.hpp"
#include "framework/pretrained/weights.hpp"
#include "framework/tasks/task.hpp"
#include "parallel/linear.hpp"
#include "parallel/micro_batch_ranks.hpp"

namespace trireme::framework::jobs {

namespace {

constexpr std::int64_t kFilled = 32; ///< samples whose logits are kept at a time
std::vector<std::string> const kSettings{"parallel.", "numerics.compute"};

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
    parallel::products_in_pieces = true;
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
                                evaluation::Pooling pooling = evaluation::Pooling::mean,
                                evaluation::Progress const& progress = {}) {
        return evaluation::Evaluator(
                   model_, {samples_per_plan, tokens, mesh_.along(parallel::Axis::tensor).size()},
                   pooling)
            .outcome(set, place_.world().rank() == 0 ? progress : evaluation::Progress());
    }
    /// Returns the `count` likeliest tokens at each label of `set`, by sample and place, on every
    /// rank. Collective.
    std::vector<evaluation::Fill> fills(data::Dataset const& set, std::int64_t tokens,
                                        std::int64_t count) {
        std::int64_t const multiple = mesh_.along(parallel::Axis::tensor).size();
        std::vector<evaluation::Fill> mine;
        for (auto const& plan : data::plan_evaluation(set, {kFilled, tokens, multiple})) {
            std::vector<model::Pass> passes;
            for (auto const& samples : parallel::own_micro_batches(
                     plan.micro_batches, mesh_.data().rank(), mesh_.data().size())) {
                passes.push_back(model::make_pass(set.read(samples, multiple), false, 0, 0, 1.0,
                                                  model_.store().options().device));
                passes.back().keep_logits = true;
            }
            model_.load(std::move(passes));
            model_.engine().forward(std::ssize(plan.micro_batches));
            evaluation::append_fills(model_.results(), set, count, mine);
        }
        return of_all(mine);
    }

  private:
    /// Gives every rank what the data ranks of the last stage have found. Collective.
    std::vector<evaluation::Fill> of_all(std::vector<evaluation::Fill> const& mine) {
        std::vector<evaluation::Fill> all;
        for (auto const& part : cluster::all_gather_values(mesh_.data(), mine, "predict/fills"))
            all.insert(all.end(), part.begin(), part.end());
        std::ranges::stable_sort(
            all, {}, [](auto const& fill) { return std::pair(fill.sample, fill.place); });
        auto& stages = mesh_.along(parallel::Axis::pipeline);
        return cluster::broadcast_values(stages, all, stages.size() - 1, "predict/fills");
    }

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
    auto const found = scorer.outcome(*set, job.tokens_per_micro_batch, job.pooling, job.progress);
    check_finite(job, found);
    auto const ranked = evaluation::rank_choices(choices.questions, found.samples);
    if (world.rank() == 0 && job.predictions) write_choices(*job.predictions, choices, ranked);
    return {evaluation::summarize_choices(choices.questions, ranked, choices.labels),
            config.numerics.compute, choices.labels};
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

tasks::Task const& task_of_folder(std::string const& folder, model::Config const& model) {
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
    return task_of_folder(folder, pretrained::read_hf_config(folder)).schema();
}

Predictor::Predictor(EvaluationJob const& job, cluster::Communicator& world) {
    configure(job, world);
    model::Config const body = pretrained::read_hf_config(job.model);
    tasks::Task const& task = task_of_folder(job.model, body);
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
