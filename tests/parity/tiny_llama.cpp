#include "tests/parity/tiny_llama.hpp"

#include <algorithm>

#include "cluster/philox.hpp"
#include "framework/optimizer/adamw.hpp"
#include "framework/optimizer/gradient_norm.hpp"
#include "framework/parallel_model.hpp"
#include "framework/weights_hash.hpp"

namespace trireme::test {

using namespace framework;

ModelConfig tiny_llama(bool tied, double dropout) {
    ModelConfig c;
    c.hidden = 24;
    c.layers = 4;
    c.heads = 3;
    c.key_heads = 1;
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

data::Slot MemoryDataset::read(std::vector<std::int64_t> const& samples, std::int64_t token_multiple) const {
    data::Slot slot;
    slot.offsets.push_back(0);
    for (auto const sample : samples) {
        auto const& tokens = ids(sample);
        for (std::size_t t = 0; t < tokens.size(); ++t) {
            slot.tokens.push_back(static_cast<std::int32_t>(tokens[t]));
            slot.positions.push_back(static_cast<std::int32_t>(t));
            slot.segments.push_back(0);
            slot.token_labels.push_back(t + 1 < tokens.size() ? static_cast<std::int32_t>(tokens[t + 1])
                                                              : data::kIgnoredLabel);
        }
        slot.offsets.push_back(slot.token_count());
        slot.sample_ids.push_back(sample);
    }
    data::fill_up(slot, token_multiple);
    return slot;
}

Curve train_tiny(cluster::Communicator& world, RunOptions const& options) {
    ModelConfig const model = tiny_llama(options.tied, options.dropout);
    MemoryDataset const set(40, model.vocabulary);
    parallel::Mesh const mesh(world, mesh_shape(options.parallel, world.size()));
    ParallelModel parallel(model, mesh, options.parallel, {.mode = options.mode, .compute = options.compute});
    for (auto const& p : parallel.store().parameters()) parallel.store().initialize(*p, 5);
    parallel.refresh();
    AdamW optimizer(parallel.store(), {.weight_decay = 0.1});
    int const tensor = mesh.along(parallel::Axis::tensor).size();
    Curve curve;
    for (std::int64_t step = 0; step < options.steps; ++step) {
        auto const plan = data::plan_step(set, options.batch, 5, step * options.batch.samples);
        std::vector<Pass> passes;
        for (auto s = static_cast<std::size_t>(mesh.data().rank()); s < plan.slots.size();
             s += static_cast<std::size_t>(mesh.data().size()))
            passes.push_back(
                make_pass(set.read(plan.slots[s], tensor), true, 5, step, 1.0 / static_cast<double>(plan.trained)));
        parallel.load(std::move(passes));
        double loss = 0;
        for (double const l : parallel.engine().forward_backward(static_cast<std::int64_t>(plan.slots.size())))
            loss += l;
        mesh.data().all_reduce({&loss, 1, cluster::DType::f64}, cluster::ReduceOp::sum, "loss").wait();
        double const norm = gradient_norm(parallel.store(), mesh);
        optimizer.step(options.learning_rate, norm > 1 ? 1 / norm : 1.0, step);
        parallel.refresh();
        curve.losses.push_back(loss);
        curve.norms.push_back(norm);
    }
    curve.weights_sha256 = weights_sha256(parallel.specs(), parallel.store(), mesh);
    return curve;
}

} // namespace trireme::test
