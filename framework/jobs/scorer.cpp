#include "framework/jobs/scorer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <utility>

#include "cluster/error.hpp"
#include "cluster/gather_values.hpp"
#include "cluster/topology.hpp"
#include "framework/config/layout_config.hpp"
#include "framework/jobs/evaluate.hpp"
#include "framework/model/ops.hpp"
#include "framework/parallelize/numerics.hpp"
#include "parallel/linear.hpp"
#include "parallel/micro_batch_ranks.hpp"
#include "parallel/tensor_ops.hpp"

namespace trireme::framework::jobs {

namespace {

std::vector<std::string> const kSettings{"parallel.", "numerics.compute"};
constexpr std::int64_t kFilled = 32; ///< samples whose logits are kept at a time

/// The mean of the hidden states of each sample, in float64 and in the order of its tokens. What
/// fills a micro-batch up has no sample.
void append_means(at::Tensor const& hidden, data::MicroBatch const& batch,
                  std::vector<std::int64_t>& ids, std::vector<double>& means) {
    at::Tensor const rows = hidden.to(at::kCPU, at::kDouble).contiguous();
    auto const width = rows.size(1);
    auto const* x = rows.const_data_ptr<double>();
    for (std::size_t s = 0; s < batch.sample_ids.size(); ++s) {
        if (batch.sample_ids[s] < 0) continue;
        std::vector<double> sum(static_cast<std::size_t>(width));
        auto const first = batch.offsets[s], end = batch.offsets[s + 1];
        for (auto const* row = x + first * width; row != x + end * width; row += width)
            std::transform(sum.begin(), sum.end(), row, sum.begin(), std::plus<>());
        ids.push_back(batch.sample_ids[s]);
        for (double const value : sum) means.push_back(value / static_cast<double>(end - first));
    }
}

} // namespace

void configure_scores(EvaluationJob const& job, cluster::Communicator& world) {
    parallelize::configure_numerics({.mode = parallelize::NumericsMode::bitwise},
                                    cluster::topology(world).cores_per_rank);
    parallel::products_in_pieces = true;
    if (job.tokens_per_micro_batch < 1)
        throw cluster::InputError(
            fmt::format("--tokens-per-micro-batch: {}: legal: a whole number >= 1",
                        job.tokens_per_micro_batch));
}

config::Config read_settings(std::string const& command, EvaluationJob const& job,
                             std::string const& task) {
    config::Config config = config::layout_config(command, kSettings, job.set, job.model, task);
    config.numerics.mode = parallelize::NumericsMode::bitwise;
    return config;
}

Scorer::Scorer(config::Config const& config, model::Config const& model,
               cluster::Communicator& world, std::string const& legal)
    : place_(config.parallel, config.numerics, world, cluster::CommunicatorOptions{}.deadline),
      mesh_(place_.world(), parallelize::mesh_shape(config.parallel, world.size())),
      model_(config, model, mesh_, inputs::Purpose::inference, place_.device()) {
    if (!legal.empty()) {
        model_.read_trained_weights(legal);
        return;
    }
    model_.start_weights();
    model_.refresh();
}

evaluation::Outcome Scorer::outcome(data::Dataset const& set, std::int64_t tokens,
                                    evaluation::Pooling pooling,
                                    evaluation::Progress const& progress) {
    return evaluation::Evaluator(model_, {samples_per_plan, tokens, token_multiple()}, pooling)
        .outcome(set, place_.world().rank() == 0 ? progress : evaluation::Progress());
}

std::vector<evaluation::Fill> Scorer::fills(data::Dataset const& set, std::int64_t tokens,
                                            std::int64_t count) {
    std::vector<evaluation::Fill> mine;
    for (auto const& plan : data::plan_evaluation(set, {kFilled, tokens, token_multiple()})) {
        std::vector<model::Pass> passes;
        for (auto const& samples : parallel::own_micro_batches(
                 plan.micro_batches, mesh_.data().rank(), mesh_.data().size())) {
            passes.push_back(model::make_pass(set.read(samples, token_multiple()), false, 0, 0, 1.0,
                                              model_.store().options().device));
            passes.back().keep_logits = true;
        }
        model_.load(std::move(passes));
        model_.engine().forward(std::ssize(plan.micro_batches));
        evaluation::append_fills(model_.results(), set, count, mine);
    }
    return of_all(mine);
}

std::vector<evaluation::Fill> Scorer::of_all(std::vector<evaluation::Fill> const& mine) {
    std::vector<evaluation::Fill> all;
    for (auto const& part : cluster::all_gather_values(mesh_.data(), mine, "predict/fills"))
        all.insert(all.end(), part.begin(), part.end());
    std::ranges::stable_sort(all, {},
                             [](auto const& fill) { return std::pair(fill.sample, fill.place); });
    auto& stages = mesh_.along(parallel::Axis::pipeline);
    return cluster::broadcast_values(stages, all, stages.size() - 1, "predict/fills");
}

void Scorer::embed(data::Dataset const& set, data::StepPlan const& plan,
                   std::vector<std::int64_t>& ids, std::vector<double>& means) {
    auto const own =
        parallel::own_micro_batches(plan.micro_batches, mesh_.data().rank(), mesh_.data().size());
    // The head leaves hidden states where a base model's are wanted, in place of a loss.
    std::vector<model::BaseOutput> hidden(own.size());
    std::vector<data::MicroBatch> batches;
    std::vector<model::Pass> passes;
    for (std::size_t i = 0; i < own.size(); ++i) {
        batches.push_back(set.read(own[i], token_multiple()));
        passes.push_back(
            model::make_pass(batches[i], false, 0, 0, 1.0, model_.store().options().device));
        passes.back().base_output = &hidden[i];
    }
    model_.load(std::move(passes));
    model_.engine().forward(std::ssize(plan.micro_batches));
    auto& stages = mesh_.along(parallel::Axis::pipeline);
    if (stages.rank() + 1 < stages.size()) return;
    parallel::TensorAxis const axis{&mesh_.along(parallel::Axis::tensor)};
    for (std::size_t i = 0; i < own.size(); ++i)
        append_means(parallel::gather_sequence(hidden[i].hidden, axis), batches[i], ids, means);
}

std::vector<double> Scorer::embeddings(data::Dataset const& set,
                                       std::vector<std::int64_t> const& samples,
                                       std::int64_t tokens, evaluation::Progress const& progress) {
    std::vector<std::int64_t> ids;
    std::vector<double> means;
    for (std::size_t first = 0; first < samples.size();) {
        auto const end =
            std::min(samples.size(), first + static_cast<std::size_t>(samples_per_plan.load()));
        std::vector<std::int64_t> some(samples.begin() + static_cast<std::ptrdiff_t>(first),
                                       samples.begin() + static_cast<std::ptrdiff_t>(end)),
            lengths;
        for (auto const sample : some) lengths.push_back(set.length(sample));
        data::BatchShape const shape{samples_per_plan, tokens, token_multiple()};
        embed(set, {.micro_batches = data::cut_into_micro_batches(some, lengths, shape)}, ids,
              means);
        first = end;
        if (progress && place_.world().rank() == 0)
            progress(static_cast<std::int64_t>(end), std::ssize(samples));
    }
    return in_order(samples, ids, means);
}

std::vector<double> Scorer::in_order(std::vector<std::int64_t> const& samples,
                                     std::vector<std::int64_t> const& ids,
                                     std::vector<double> const& means) {
    std::vector<std::int64_t> all_ids;
    std::vector<double> all_means, ordered;
    for (auto const& part : cluster::all_gather_values(mesh_.data(), ids, "evaluate/samples"))
        all_ids.insert(all_ids.end(), part.begin(), part.end());
    for (auto const& part : cluster::all_gather_values(mesh_.data(), means, "evaluate/embeddings"))
        all_means.insert(all_means.end(), part.begin(), part.end());
    auto& stages = mesh_.along(parallel::Axis::pipeline);
    all_ids = cluster::broadcast_values(stages, all_ids, stages.size() - 1, "evaluate/samples");
    all_means =
        cluster::broadcast_values(stages, all_means, stages.size() - 1, "evaluate/embeddings");
    auto const width = static_cast<std::ptrdiff_t>(model_.config().hidden);
    std::map<std::int64_t, std::ptrdiff_t> row_of;
    for (std::size_t i = 0; i < all_ids.size(); ++i)
        row_of[all_ids[i]] = static_cast<std::ptrdiff_t>(i);
    for (auto const sample : samples) {
        auto const row = all_means.begin() + row_of.at(sample) * width;
        ordered.insert(ordered.end(), row, row + width);
    }
    return ordered;
}

} // namespace trireme::framework::jobs
