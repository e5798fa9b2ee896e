#include "tests/parity/tiny_llama.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "cluster/philox.hpp"
#include "cluster/thread_communicator.hpp"
#include "framework/optimizer/gradient_norm.hpp"
#include "framework/weights/weights_hash.hpp"

namespace trireme::test {

using namespace framework;

model::Config tiny_llama(bool tied, double dropout, std::int64_t layers) {
    model::Config c;
    c.hidden = 24;
    c.layers = layers;
    c.heads = 3;
    c.kv_heads = 1;
    c.head_size = 8;
    c.feed_forward = 40;
    c.vocabulary = 101;
    c.max_positions = 32;
    c.tied_embeddings = tied;
    c.embedding_dropout = c.hidden_dropout = c.attention_dropout = dropout;
    c.initializer_range = 0.2; // large enough that attention is far from uniform
    return c;
}

MemoryDataset::MemoryDataset(std::int64_t samples, std::int64_t vocabulary) {
    for (std::int64_t i = 0; i < samples; ++i) {
        auto const draw = [&](std::uint64_t place) {
            return cluster::philox(99, static_cast<std::uint64_t>(i), place)[0];
        };
        std::vector<std::int64_t>& ids = ids_.emplace_back(3 + draw(0) % 17);
        // Something to learn: most tokens follow from the one before.
        for (std::size_t t = 0; t < ids.size(); ++t)
            ids[t] = t && draw(2 * t) % 4 ? (ids[t - 1] * 5 + 3) % vocabulary
                                          : static_cast<std::int64_t>(draw(2 * t + 1)) % vocabulary;
    }
}

data::MicroBatch MemoryDataset::read(std::vector<std::int64_t> const& samples,
                                     std::int64_t token_multiple) const {
    data::MicroBatch micro_batch;
    std::vector<std::int32_t> next;
    micro_batch.offsets.push_back(0);
    for (auto const sample : samples) {
        auto const& tokens = ids(sample);
        for (std::size_t t = 0; t < tokens.size(); ++t) {
            micro_batch.tokens.push_back(static_cast<std::int32_t>(tokens[t]));
            micro_batch.positions.push_back(static_cast<std::int32_t>(t));
            micro_batch.segments.push_back(0);
            next.push_back(t + 1 < tokens.size() ? static_cast<std::int32_t>(tokens[t + 1])
                                                 : data::kIgnoredLabel);
        }
        micro_batch.offsets.push_back(micro_batch.token_count());
        micro_batch.sample_ids.push_back(sample);
    }
    micro_batch.columns.append(data::kTokenLabels, 1, next);
    data::fill_up(micro_batch, token_multiple);
    return micro_batch;
}

TinyRun::TinyRun(cluster::Communicator& world, RunOptions const& options)
    : options_(options), config_(tiny_llama(options.tied, options.dropout, options.layers)),
      set_(40, config_.vocabulary),
      mesh_(world, parallelize::mesh_shape(options.parallel, world.size())),
      model_(config_, mesh_, options.parallel, {.mode = options.mode, .compute = options.compute},
             true, options.device),
      optimizer_(model_.store(), {.weight_decay = 0.1},
                 options.parallel.offload == parallelize::Offload::optimizer),
      gradient_norm_(model_.store(), mesh_) {
    for (auto const& p : model_.store().parameters()) model_.store().initialize(*p, 5);
    model_.refresh();
}

double TinyRun::step() {
    auto const plan = data::plan_step(set_, options_.batch, 5, steps_ * options_.batch.samples);
    int const tensor = mesh_.along(parallel::Axis::tensor).size();
    std::vector<model::Pass> passes;
    for (auto s = static_cast<std::size_t>(mesh_.data().rank()); s < plan.micro_batches.size();
         s += static_cast<std::size_t>(mesh_.data().size()))
        passes.push_back(model::make_pass(set_.read(plan.micro_batches[s], tensor), true, 5, steps_,
                                          1.0 / static_cast<double>(plan.trained),
                                          options_.device));
    model_.load(std::move(passes));
    double loss = 0;
    for (double const l :
         model_.engine().forward_backward(static_cast<std::int64_t>(plan.micro_batches.size())))
        loss += l;
    mesh_.data().all_reduce({&loss, 1, cluster::DType::f64}, cluster::ReduceOp::sum, "loss").wait();
    at::Tensor const norm = gradient_norm_.compute();
    norm_ = norm.item<double>();
    optimizer_.step(options_.learning_rate, framework::optimizer::clip_scale(norm, 1), steps_);
    model_.refresh();
    ++steps_;
    return loss;
}

std::string TinyRun::hash() {
    // offloaded weights are there after it
    at::zeros({1}, at::TensorOptions().device(options_.device)).item<float>();
    return weights::weights_sha256(model_.specs(), model_.store(), mesh_);
}

Curve train_tiny(cluster::Communicator& world, RunOptions const& options) {
    TinyRun run(world, options);
    Curve curve;
    for (int step = 0; step < options.steps; ++step) {
        curve.losses.push_back(run.step());
        curve.norms.push_back(run.norm());
    }
    curve.weights_sha256 = run.hash();
    return curve;
}

Curve train_as_threads(int ranks, RunOptions const& options) {
    std::vector<Curve> curves(static_cast<std::size_t>(ranks));
    cluster::run_as_threads(ranks, [&](auto& world) {
        curves[static_cast<std::size_t>(world.rank())] = train_tiny(world, options);
    });
    for (auto const& c : curves)
        if (c.weights_sha256 != curves[0].weights_sha256 || c.norms != curves[0].norms)
            throw std::runtime_error("ranks of one run found different weights or norms");
    return curves[0];
}

std::string describe(int ranks, parallelize::ParallelSection const& p) {
    return fmt::format(
        "{} ranks: pipeline {} x {} {}, replicate {}, shard {}, tensor {}, zero {}, recompute {}",
        ranks, p.pipeline, p.virtual_stages, name_of(p.schedule), p.replicate, p.shard, p.tensor,
        p.zero, name_of(p.recompute));
}

} // namespace trireme::test
