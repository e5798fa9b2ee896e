// Memory as the papers say: what the store keeps, what a step adds, what recomputation saves.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <set>

#include "framework/model/transformer_parts.hpp"
#include "framework/parallelize/parallel_model.hpp"
#include "parallel/dry_world.hpp"
#include "tests/parity/memory_meter.hpp"

namespace trireme::test {
namespace {

using namespace framework;

model::Config small_llama(std::int64_t layers, std::int64_t hidden, std::int64_t vocabulary) {
    model::Config c;
    c.hidden = hidden;
    c.layers = layers;
    c.heads = c.kv_heads = hidden / 32;
    c.head_size = 32;
    c.feed_forward = 4 * hidden;
    c.vocabulary = vocabulary;
    c.max_positions = 512;
    return c;
}

struct Kept {
    double weights = 0, gradients = 0, states = 0;
};

/// Bytes of the storages themselves: views of one storage count once.
Kept kept_by(parallel::ParameterStore const& store) {
    std::set<c10::StorageImpl*> seen;
    auto const bytes = [&](at::Tensor const& t) {
        bool const fresh = t.defined() && seen.insert(t.storage().unsafeGetStorageImpl()).second;
        return fresh ? static_cast<double>(t.storage().nbytes()) : 0.0;
    };
    Kept kept;
    for (auto const& unit : store.units()) {
        kept.weights += bytes(unit->compute) + bytes(unit->master);
        for (auto const& t : unit->total) kept.gradients += bytes(t);
        for (auto const& t : unit->current) kept.gradients += bytes(t);
        kept.states += bytes(unit->moment1) + bytes(unit->moment2);
    }
    return kept;
}

/// Rajbhandari et al., "ZeRO", 2020, figure 1, with float32 sums of gradients. In float32 the
/// compute copy is the master.
Kept theory(double psi, int zero, double d, bool bf16) {
    double const states = 8 * psi / (zero >= 1 ? d : 1), gradients = 4 * psi / (zero >= 2 ? d : 1);
    double const compute = (bf16 ? 2 : 4) * psi;
    if (!bf16) return {compute / (zero == 3 ? d : 1), gradients, states};
    double const master = 4 * psi / (zero >= 1 ? d : 1);
    return {zero == 3 ? master : compute + master, gradients, states};
}

double parameters_of(model::Config const& model) {
    double psi = 0;
    for (auto const& spec : model::parameter_specs(model))
        psi += static_cast<double>(parallel::Parameter(spec).numel());
    return psi;
}

TEST(Memory, TheStoreKeepsWhatZeroSays) {
    model::Config const model = small_llama(2, 384, 8192);
    double const psi = parameters_of(model);
    for (bool const bf16 : {false, true})
        for (int zero = 0; zero <= 3; ++zero)
            for (int const d : {1, 2, 4, 8})
                for (int const rank : std::set<int>{0, d - 1}) {
                    parallel::ParameterStore store(model::parameter_specs(model),
                                                   {.compute = bf16 ? at::kBFloat16 : at::kFloat,
                                                    .zero = zero,
                                                    .place = {.shard = d, .shard_rank = rank}});
                    store.allocate_moments();
                    Kept const is = kept_by(store), should = theory(psi, zero, d, bf16);
                    std::string const where = fmt::format("zero {}, rank {} of {}, {}", zero, rank,
                                                          d, bf16 ? "bf16" : "fp32");
                    EXPECT_NEAR(is.weights / should.weights, 1, 0.02) << where;
                    EXPECT_NEAR(is.gradients / should.gradients, 1, 0.02) << where;
                    EXPECT_NEAR(is.states / should.states, 1, 0.02) << where;
                    if (rank == 0)
                        fmt::print("{}: weights {:.2f} ({:.2f}), gradients {:.2f} ({:.2f}), states "
                                   "{:.2f} ({:.2f}) MB\n",
                                   where, is.weights / 1e6, should.weights / 1e6,
                                   is.gradients / 1e6, should.gradients / 1e6, is.states / 1e6,
                                   should.states / 1e6);
                }
}

model::Pass pass_of(std::int64_t tokens) {
    data::MicroBatch micro_batch;
    for (std::int64_t t = 0; t < tokens; ++t)
        micro_batch.positions.push_back(static_cast<std::int32_t>(t));
    micro_batch.tokens.assign(micro_batch.positions.size(), 1);
    micro_batch.columns.append(data::kTokenLabels, 1, micro_batch.tokens);
    micro_batch.offsets = {0, tokens};
    micro_batch.sample_ids = {0};
    return model::make_pass(std::move(micro_batch), true, 1, 0, 1.0);
}

struct StepMemory {
    std::int64_t before = 0, peak = 0, after = 0;
    std::int64_t added() const { return peak - before; }
};

/// One micro-step of rank 0 of d data ranks.
StepMemory step_memory(model::Config const& model, parallelize::ParallelSection const& section,
                       int d, std::int64_t tokens, at::Device device,
                       parallelize::Compute compute = parallelize::Compute::fp32) {
    auto const meter = MemoryMeter::of(device.type());
    auto const shape = parallelize::mesh_shape(section, d);
    auto const world = parallel::make_dry_world(shape, 0);
    parallel::Mesh const mesh(*world, shape);
    parallelize::ParallelModel parallel(model, mesh, section,
                                        {parallelize::NumericsMode::fast, compute}, true, device);
    std::vector<model::Pass> passes;
    passes.push_back(pass_of(tokens));
    parallel.load(std::move(passes));
    StepMemory memory{.before = meter.live()};
    meter.reset_peak();
    parallel.engine().forward_backward(d);
    memory.peak = meter.peak();
    memory.after = meter.live();
    return memory;
}

TEST(Memory, ActivationsAreWhatTheMetaDeviceCounts) {
    model::Config const model = small_llama(6, 128, 512);
    using parallelize::Recompute;
    std::map<Recompute, std::int64_t> added;
    for (auto const recompute : {Recompute::none, Recompute::selective, Recompute::full})
        for (parallelize::Compute const compute :
             {parallelize::Compute::fp32, parallelize::Compute::bf16}) {
            parallelize::ParallelSection const section{.recompute = recompute};
            StepMemory const real = step_memory(model, section, 1, 384, at::kCPU, compute),
                             counted = step_memory(model, section, 1, 384, at::kMeta, compute);
            EXPECT_NEAR(static_cast<double>(real.added()) / static_cast<double>(counted.added()), 1,
                        0.05)
                << name_of(recompute);
            EXPECT_EQ(real.before, real.after) << "a step leaves nothing behind";
            fmt::print("recompute {}, {}: {:.3f} MB on the CPU, {:.3f} MB on the meta device\n",
                       name_of(recompute), name_of(compute),
                       static_cast<double>(real.added()) / 1e6,
                       static_cast<double>(counted.added()) / 1e6);
            if (compute == parallelize::Compute::fp32) added[recompute] = counted.added();
        }
    EXPECT_LT(added[Recompute::selective], added[Recompute::none]);
    EXPECT_LT(added[Recompute::full], added[Recompute::selective] / 2);
}

/// ZeRO 3: a block computes while the next one travels, and one unit's gradient waits to be
/// reduced. The loss makes the head's weight gradient beside its micro-batch.
TEST(Memory, AStepGathersTwoUnitsAtATime) {
    model::Config const model = small_llama(8, 256, 512);
    double const layer = 4 * parameters_of(small_llama(1, 256, 512)) - 4 * 2.0 * 256 * 512;
    for (int const d : {2, 8}) {
        StepMemory const all = step_memory(model, {.zero = 3}, d, 1, at::kMeta);
        double const added = static_cast<double>(all.added());
        fmt::print("zero 3 on {} ranks: a step adds {:.2f} layers\n", d, added / layer);
        // gathered, micro-batch, what arrived of it, the rest
        EXPECT_LT(added, (2 + 1 + 1.0 / d + 0.15) * layer);
        EXPECT_GT(added, 3 * layer);
    }
}

} // namespace
} // namespace trireme::test
