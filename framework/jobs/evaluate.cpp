#include "framework/jobs/evaluate.hpp"

#include <fmt/format.h>

#include <cmath>

#include "cluster/error.hpp"
#include "cluster/topology.hpp"
#include "data/manifest.hpp"
#include "data/tokenizer_files.hpp"
#include "framework/config/layout_config.hpp"
#include "framework/inputs/model_config.hpp"
#include "framework/parallelize/compute_device.hpp"
#include "framework/parallelize/numerics.hpp"
#include "framework/pretrained/weights.hpp"

namespace trireme::framework::jobs {

namespace {

void write_predictions(cluster::OutputFile& file, model::Results const& results,
                       std::vector<std::string> const& names) {
    std::string text;
    auto const name = [&](std::int32_t label) {
        return label < 0 ? std::string() : names.at(static_cast<std::size_t>(label));
    };
    std::size_t const classes = names.size();
    for (std::size_t i = 0; i < results.samples.size(); ++i) {
        auto const& r = results.samples[i];
        nlohmann::ordered_json line{
            {"sample", r.sample}, {"loss", r.loss}, {"trained", r.trained}, {"correct", r.correct}};
        if (!names.empty())
            line.update(
                {{"label", name(r.label)},
                 {"prediction", name(r.prediction)},
                 {"logits", std::vector<float>(results.logits.data() + i * classes,
                                               results.logits.data() + (i + 1) * classes)}});
        text += line.dump() + "\n";
    }
    file.write(text);
}

/// A mean of what is not a number would be quoted as null.
void check_finite(EvaluationJob const& job, model::Results const& results) {
    for (auto const& r : results.samples)
        if (!std::isfinite(r.loss))
            throw cluster::JobError(fmt::format("{}: sample {} of {} {}: the loss is not a finite "
                                                "number; the weights are too large for float32",
                                                job.model, r.sample, job.data, job.split));
}

} // namespace

Evaluation evaluate_model(EvaluationJob const& job, cluster::Communicator& world) {
    // A score is quoted: the same bits on any number of ranks and threads.
    parallelize::configure_numerics({.mode = config::NumericsMode::bitwise},
                                    cluster::topology(world).cores_per_rank);
    if (job.tokens_per_slot < 1)
        throw cluster::InputError(
            fmt::format("--tokens-per-slot: {}: legal: a whole number >= 1", job.tokens_per_slot));
    auto const set = data::open_dataset(job.data, job.split);
    set->verify(world.rank(), world.size());
    config::Config config = config::layout_config(
        "trireme evaluate", {"parallel.", "numerics.compute"}, job.set, job.model, set->task().name);
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
    auto const results =
        evaluation::Evaluator(parallel, {samples_per_plan, job.tokens_per_slot,
                                         mesh.along(parallel::Axis::tensor).size()})
            .results(*set);
    check_finite(job, results);
    if (world.rank() == 0 && job.predictions)
        write_predictions(*job.predictions, results, set->label_names());
    return {evaluation::summarize(results.samples, set->label_names().size()), numerics.compute};
}

} // namespace trireme::framework::jobs
