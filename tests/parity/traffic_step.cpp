#include "tests/parity/traffic_step.hpp"

#include "framework/parallelize/parallel_model.hpp"
#include "tests/parity/tiny_llama.hpp"

namespace trireme::test {

using namespace framework;

namespace {

constexpr data::BatchShape kBatch{9, 30, 1};
thread_local planning::TrafficCounter counter;

struct ByThread : cluster::CallObserver {
    void on_start(std::string_view group, cluster::CallRecord const& call) override {
        counter.on_start(group, call);
    }
    void on_finish(std::string_view, std::uint64_t) override {}
};

} // namespace

std::shared_ptr<cluster::CallObserver> counter_by_thread() {
    return std::make_shared<ByThread>();
}

planning::Traffic count_step(cluster::Communicator& world, CountedStep const& step) {
    model::Config const model = tiny_llama(step.tied, 0.1);
    MemoryDataset const set(40, model.vocabulary);
    parallel::Mesh const mesh(world, parallelize::mesh_shape(step.layout.parallel, world.size()));
    parallelize::ParallelModel parallel(model, mesh, step.layout.parallel, step.numerics);
    for (auto const& p : parallel.store().parameters()) parallel.store().initialize(*p, 5);
    parallel.refresh();
    int const tensor = mesh.along(parallel::Axis::tensor).size();
    auto const plan =
        data::plan_step(set, {kBatch.samples, kBatch.tokens_per_micro_batch, tensor}, 5, 0);
    std::vector<model::Pass> passes;
    for (auto s = static_cast<std::size_t>(mesh.data().rank()); s < plan.micro_batches.size();
         s += static_cast<std::size_t>(mesh.data().size()))
        passes.push_back(
            model::make_pass(set.read(plan.micro_batches[s], tensor), true, 5, 0, 1.0));
    parallel.load(std::move(passes));
    counter.clear();
    parallel.engine().forward_backward(static_cast<std::int64_t>(plan.micro_batches.size()));
    parallel.refresh();
    return counter.traffic();
}

planning::Traffic predict_step(CountedStep const& step, int rank) {
    model::Config const model = tiny_llama(step.tied, 0.1);
    MemoryDataset const set(40, model.vocabulary);
    planning::StepDescription description{
        .mesh = parallelize::mesh_shape(step.layout.parallel, step.layout.ranks),
        .section = step.layout.parallel,
        .numerics = step.numerics,
        .tokens_per_micro_batch = kBatch.tokens_per_micro_batch,
        .lengths = {}};
    for (std::int64_t i = 0; i < kBatch.samples; ++i)
        description.lengths.push_back(set.length(data::ordered_sample(5, set.size(), i)));
    return planning::predict(model, description, rank);
}

} // namespace trireme::test
