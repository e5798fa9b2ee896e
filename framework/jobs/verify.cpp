#include "framework/jobs/verify.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "cluster/error.hpp"
#include "cluster/output_file.hpp"
#include "cluster/topology.hpp"
#include "framework/config/layout_config.hpp"
#include "framework/evaluation/gathered_results.hpp"
#include "framework/inputs/loaded_model.hpp"
#include "framework/inputs/model_config.hpp"
#include "framework/model/layer_names.hpp"
#include "framework/parallelize/numerics.hpp"
#include "framework/pretrained/hf_config.hpp"
#include "framework/pretrained/hf_tensors.hpp"
#include "framework/pretrained/weights.hpp"
#include "framework/tasks/task.hpp"
#include "framework/verify/fingerprint.hpp"
#include "framework/verify/output_file.hpp"
#include "framework/weights/whole_tensor.hpp"

namespace trireme::framework::jobs {

namespace {

/// how transformers' classes with a classifier end
constexpr char const* kClassifier = "ForSequenceClassification";
/// how those with a class for each token and those that find answers end
constexpr char const *kTokenClassifier = "ForTokenClassification",
                     *kAnswers = "ForQuestionAnswering";
/// how those of masked language models end
constexpr char const* kMasked = "ForMaskedLM";

/// Names the place in config.json that says what the folder was trained for, with its value.
std::string where_of(std::string const& folder, model::Config const& model) {
    std::string const name = pretrained::transformers_class_of(model);
    return folder + "/config.json: architectures: " + (name.empty() ? "none" : name);
}

/// Returns the task of a head with several outputs a text, each of them for a token, or null.
tasks::Task const* task_of_lists(std::string const& folder, verify::TokenFile const& file,
                                 std::string const& name) {
    for (auto const& [end, kind] :
         {std::pair{kTokenClassifier, data::TaskKind::token_classification},
          {kAnswers, data::TaskKind::question_answering}}) {
        if (!name.ends_with(end)) continue;
        if (!file.has_lists)
            throw cluster::InputError(fmt::format(
                "{}: one label per sequence, but {} is a ...{}; legal: a list for each sequence",
                file.path, folder, end));
        return &tasks::task_of(kind);
    }
    return nullptr;
}

/// Returns the task that labels per token ask of a folder without one of those heads.
tasks::Task const& task_of_token_labels(std::string const& folder, verify::TokenFile const& file,
                                        model::Config const& model) {
    if (pretrained::is_classifier(model))
        throw cluster::InputError(
            fmt::format("{}: labels per token, but {} is a classifier; legal: one label per "
                        "sequence",
                        file.path, folder));
    if (pretrained::transformers_class_of(model).ends_with(kMasked))
        return tasks::task_of(data::TaskKind::masked_language_modeling);
    if (!model.causal)
        throw cluster::InputError(
            where_of(folder, model) +
            ": an encoder: there is no language-modeling head to verify; legal: one label "
            "per sequence, for a folder with a trained classifier");
    return tasks::task_of(data::TaskKind::language_modeling);
}

void check_classifier(std::string const& folder, model::Config const& model,
                      tasks::Task const& task) {
    if (!pretrained::is_classifier(model))
        throw cluster::InputError(fmt::format(
            "{}: no trained classifier: what is missing is a ...{} class, id2label and "
            "the tensor {}; legal: fine-tune "
            "the model and verify what trireme export writes{}",
            where_of(folder, model), kClassifier, model::head_names(model).classifier.weight,
            model.causal ? ", or give a label per token" : ""));
    auto const labels = std::ssize(pretrained::class_names_of(model));
    if (labels < task.schema().least_labels)
        throw cluster::InputError(fmt::format("{}/config.json: id2label: {} entries: legal: {} or "
                                              "more",
                                              folder, labels, task.schema().least_labels));
}

/// The task of the head that the folder was trained with, which must be one that the labels ask
/// for.
tasks::Task const& task_of(std::string const& folder, verify::TokenFile const& file,
                           model::Config model) {
    if (auto const* found = task_of_lists(folder, file, pretrained::transformers_class_of(model)))
        return *found;
    auto const* of_samples = tasks::task_of_samples(pretrained::problem_of(model));
    auto const& task = of_samples ? *of_samples : tasks::task_of(data::TaskKind::classification);
    bool const of_targets = pretrained::is_classifier(model) &&
                            model::traits_of(task.head()).learns == data::Values::reals;
    if (file.has_lists && !of_targets) return task_of_token_labels(folder, file, model);
    model.head = task.head();
    check_classifier(folder, model, task);
    return task;
}

/// A run configuration of the layout and the arithmetic alone.
config::Config read_settings(VerifyJob const& job, tasks::Task const& task) {
    config::Config config = config::layout_config(
        "trireme verify", {"parallel.", "numerics.", "batch.tokens_per_micro_batch"}, job.set,
        job.model, task.schema().name);
    if (config.parallel.device != parallelize::Device::cpu)
        throw cluster::InputError(
            fmt::format("parallel.device: {}: legal for trireme verify: cpu, where its bounds hold",
                        name_of(config.parallel.device)));
    return config;
}

/// Holds what both commands work on, read and checked before anything large happens.
struct Task {
    config::Config config;
    model::Config model;
    std::unique_ptr<data::Dataset> set;
};
Task read_task(VerifyJob const& job, verify::TokenFile const& file) {
    model::Config const body = pretrained::read_hf_config(job.model);
    tasks::Task const& of_head = task_of(job.model, file, body);
    Task task{read_settings(job, of_head), {}, nullptr};
    task.model = inputs::read_model_config(task.config, of_head.schema().least_labels > 0
                                                            ? pretrained::class_names_of(body)
                                                            : std::vector<std::string>{});
    task.set = verify::make_dataset(file, task.model);
    pretrained::check_complete(task.config.model, task.model);
    return task;
}

/// The training path of a run without optimizer and data folder: a model on a mesh, with its
/// weights.
class TrainingPath {
  public:
    /// Reads the weights. Collective.
    TrainingPath(Task const& task, cluster::Communicator& world)
        : task_(task), mesh_(world, parallelize::mesh_shape(task.config.parallel, world.size())),
          model_(task.config, task.model, mesh_, inputs::Purpose::training) {
        model_.read_trained_weights("a model that is complete");
    }

    /// One step without an update. Collective.
    evaluation::GatheredResults run() {
        auto step =
            evaluation::make_step(*task_.set,
                                  {task_.set->size(), task_.config.batch.tokens_per_micro_batch,
                                   mesh_.along(parallel::Axis::tensor).size()},
                                  mesh_.data());
        model_.load(std::move(step.passes));
        model_.engine().forward_backward(step.micro_batches);
        return {model_.results(), *task_.set, task_.model, mesh_.world()};
    }

    /// Calls f(name, gradient) for every tensor of the Hugging Face folder, which may be made of
    /// several parameters. Collective.
    template <typename F>
    void for_each_gradient(F const& f) const {
        for (auto const& tensor : pretrained::hf_tensors(task_.model)) {
            if (tensor.scalar) continue; // it has none
            at::Tensor const whole = at::empty(tensor.shape, at::kFloat);
            at::Tensor gradient;
            for (auto const& part : tensor.parts) {
                if (part.from == 0) gradient = whole_gradient(part.parameter);
                whole.narrow(static_cast<std::int64_t>(part.dim), part.first, part.count)
                    .copy_(pretrained::values_of(part, gradient));
            }
            f(tensor.name, whole);
        }
    }

  private:
    /// The one place that knows where gradients lie.
    at::Tensor whole_gradient(std::string const& parameter) const {
        auto const spec =
            std::ranges::find(model_.specs(), parameter, &parallel::ParameterSpec::name);
        return weights::whole_tensor(*spec, model_.store(), mesh_, weights::Kept::gradient);
    }

    Task const& task_;
    parallel::Mesh mesh_;
    inputs::LoadedModel model_;
};

/// `file` is null on all ranks but 0, which take part in gathering.
void write_logits(verify::NumericsFile const* file, evaluation::GatheredResults const& results,
                  data::Dataset const& set, model::Config const& model) {
    std::vector<std::int64_t> offsets{0};
    for (std::int64_t i = 0; i < set.size(); ++i)
        offsets.push_back(offsets.back() + results.rows(i));
    std::optional<data::H5> dataset;
    if (file) dataset = file->create("logits", H5T_IEEE_F32LE, {offsets.back(), model.outputs()});
    for (std::int64_t i = 0; i < set.size(); ++i) {
        std::vector<float> const values = results.logits(i);
        if (file)
            data::write_rows(*dataset, file->staging(), offsets[static_cast<std::size_t>(i)],
                             results.rows(i), values.data());
    }
    if (file && model::traits_of(model.head).rows == data::Per::token)
        file->write("offsets", H5T_STD_I64LE, {static_cast<std::int64_t>(offsets.size())},
                    offsets.data());
}

} // namespace

double write_numerics(VerifyJob const& job, cluster::Communicator& world) {
    Task const task = read_task(job, verify::read_token_file(job.tokens));
    parallelize::mesh_shape(task.config.parallel, world.size());
    if (world.rank() == 0)
        cluster::refuse_input("--out", job.output, {job.model, job.tokens}, ".h5");
    auto const file =
        world.rank() == 0 ? std::make_unique<verify::NumericsFile>(job.output, job.force) : nullptr;
    if (file) file->describe(task.config.task, task.set->label_names());
    parallelize::configure_numerics(task.config.numerics, cluster::topology(world).cores_per_rank);
    TrainingPath path(task, world);
    evaluation::GatheredResults const results = path.run();
    double const loss = results.loss();
    write_logits(file.get(), results, *task.set, task.model);
    if (file) file->write("loss", H5T_IEEE_F64LE, {}, &loss);
    path.for_each_gradient([&](std::string const& name, at::Tensor const& g) {
        if (file) file->write("grad/" + name, H5T_IEEE_F32LE, g.sizes().vec(), g.const_data_ptr());
    });
    if (file) file->commit();
    return loss;
}

verify::Replay replay_fingerprint(VerifyJob const& job, cluster::Communicator& world) {
    verify::StoredFingerprint const stored(job.model);
    Task const task = read_task(job, stored.tokens());
    parallelize::configure_numerics(task.config.numerics, cluster::topology(world).cores_per_rank);
    verify::Replay replay;
    if (world.rank() == 0) stored.compare_files(replay);
    TrainingPath path(task, world);
    verify::Fingerprint const found =
        verify::summarize(path.run(), task.set->size(), task.model.outputs());
    if (world.rank() == 0) stored.compare_numbers(found, task.config.numerics.compute, replay);
    return replay;
}

} // namespace trireme::framework::jobs
