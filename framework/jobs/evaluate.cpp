#include "framework/jobs/evaluate.hpp"

#include <fmt/format.h>

#include <cmath>
#include <span>

#include "cluster/error.hpp"
#include "cluster/topology.hpp"
#include "data/manifest.hpp"
#include "data/tokenizer_files.hpp"
#include "framework/config/layout_config.hpp"
#include "framework/inputs/model_config.hpp"
#include "framework/parallelize/compute_device.hpp"
#include "framework/parallelize/numerics.hpp"
#include "framework/pretrained/weights.hpp"
#include "framework/tasks/task.hpp"

namespace trireme::framework::jobs {

namespace {

void write_predictions(cluster::OutputFile& file, evaluation::Outcome const& outcome,
                       data::Dataset const& set) {
    tasks::Task const& task = tasks::task_of(set.task().kind);
    auto const outputs = static_cast<std::size_t>(outcome.outputs);
    auto const row = [&](std::vector<float> const& rows, std::size_t i) {
        return rows.empty() ? std::span<float const>()
                            : std::span(rows).subspan(i * outputs, outputs);
    };
    std::string text;
    for (std::size_t i = 0; i < outcome.samples.size(); ++i) {
        auto const& r = outcome.samples[i];
        nlohmann::ordered_json line{{"sample", r.sample}, {"loss", r.loss}, {"trained", r.trained}};
        task.describe({r, row(outcome.logits, i), row(outcome.targets, i), set.label_names()},
                      line);
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

} // namespace

Evaluation evaluate_model(EvaluationJob const& job, cluster::Communicator& world) {
    // A score is quoted: the same bits on any number of ranks and threads.
    parallelize::configure_numerics({.mode = config::NumericsMode::bitwise},
                                    cluster::topology(world).cores_per_rank);
    if (job.tokens_per_micro_batch < 1)
        throw cluster::InputError(
            fmt::format("--tokens-per-micro-batch: {}: legal: a whole number >= 1",
                        job.tokens_per_micro_batch));
    auto const set = data::open_dataset(job.data, job.split);
    set->verify(world.rank(), world.size());
    config::Config config =
        config::layout_config("trireme evaluate", {"parallel.", "numerics.compute"}, job.set,
                              job.model, set->task().name);
    config.data.path = job.data;
    model::Config const model = inputs::read_model_config(config, set->label_names());
    inputs::check_fit(model, *set, config);
    data::check_same_tokenizer(job.data, data::read_manifest(job.data).tokenizer_xxh3, job.model);
    pretrained::check_complete(config, model);
    config::NumericsSection const numerics{.mode = config::NumericsMode::bitwise,
                                           .compute = config.numerics.compute};
    parallelize::ComputeDevice place(config.parallel, numerics, world,
                                     cluster::CommunicatorOptions{}.deadline);
    parallel::Mesh const mesh(place.world(),
                              parallelize::mesh_shape(config.parallel, world.size()));
    parallelize::ParallelModel parallel(model, mesh, config.parallel, numerics, false,
                                        place.device());
    if (auto const loaded = pretrained::load_weights(config, model, parallel.store());
        !loaded.fresh.empty())
        throw cluster::InputError(fmt::format("{}: it was not trained for these labels ({}); "
                                              "legal: a model that `trireme export` wrote for "
                                              "the labels of {}",
                                              job.model, loaded.notes().front(), job.data));
    parallel.refresh();
    auto const outcome =
        evaluation::Evaluator(parallel, {samples_per_plan, job.tokens_per_micro_batch,
                                         mesh.along(parallel::Axis::tensor).size()})
            .outcome(*set);
    check_finite(job, outcome);
    if (world.rank() == 0 && job.predictions) write_predictions(*job.predictions, outcome, *set);
    return {evaluation::summarize(outcome), numerics.compute};
}

} // namespace trireme::framework::jobs
