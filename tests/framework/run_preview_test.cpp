#include "framework/planning/run_preview.hpp"

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <vector>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "cluster/for_now.hpp"
#include "cluster/thread_communicator.hpp"
#include "data/manifest.hpp"
#include "framework/evaluation/evaluator.hpp"
#include "framework/jobs/evaluate.hpp"
#include "framework/parallelize/numerics.hpp"
#include "framework/parallelize/tensor_memory.hpp"
#include "framework/planning/memory_meter.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tests/support/tiny_run.hpp"

namespace trireme::framework {
namespace {

std::int64_t bytes_of(at::Tensor const& tensor) {
    return tensor.defined() ? static_cast<std::int64_t>(tensor.nbytes()) : 0;
}

/// Measures a real store, tensor by tensor; a buffer that two names share counts once.
planning::RankMemory measured(parallel::ParameterStore const& store) {
    planning::RankMemory memory;
    for (auto const& unit : store.units()) {
        bool const one = unit->compute.defined() && unit->compute.is_alias_of(unit->master);
        memory.weights += bytes_of(unit->compute) + (one ? 0 : bytes_of(unit->master));
        for (auto const& total : unit->total) memory.gradients += bytes_of(total);
        memory.optimizer += bytes_of(unit->moment1) + bytes_of(unit->moment2);
    }
    return memory;
}

/// Whatever was predicted before, and however small objects lie among what is freed.
TEST(TensorMemory, LargeTensorsLieInThePoolAndTakeEachOthersPlace) {
    planning::MemoryMeter const of_a_dry_run(c10::DeviceType::Meta);
    parallelize::configure_numerics({}, 1);
    auto const& pool = parallelize::PooledAllocator::pool();
#if defined(__SANITIZE_ADDRESS__)
    GTEST_SKIP() << "AddressSanitizer looks after the C library's blocks alone";
#endif
    auto const floats = [](std::int64_t count) { return at::empty({count}, at::kFloat); };
    EXPECT_FALSE(pool.holds(floats(100).data_ptr()));
    at::Tensor first = floats(3 << 20), second = floats(3 << 20), third = floats(3 << 20);
    void* const place = second.data_ptr();
    EXPECT_TRUE(pool.holds(place));
    second.reset();
    std::vector<std::unique_ptr<std::array<char, 1000>>> small;
    for (int i = 0; i < 1000; ++i) small.push_back(std::make_unique<std::array<char, 1000>>());
    EXPECT_EQ(floats(3 << 20).data_ptr(), place);
    EXPECT_EQ(floats((3 << 20) - 100).data_ptr(), place);
}

class Preview : public testing::Test {
  protected:
    test::TemporaryFolder folder_;
    config::ConfigWithOrigins resolved_ =
        config::read_config_with_origins(test::write_tiny_run(folder_.path()), {}, {});
};

TEST_F(Preview, MemoryIsThatOfARealStore) {
    auto const specs = model::parameter_specs(inputs::open_inputs(resolved_.config).model);
    for (auto const compute : {at::kFloat, at::kDouble, at::kBFloat16})
        for (int zero = 0; zero < 4; ++zero)
            for (parallel::StorePlace const place : {parallel::StorePlace{},
                                                     {.replicate = 2, .shard = 3},
                                                     {.shard = 2, .tensor = 2}}) {
                parallel::StoreOptions const options{
                    .compute = compute, .zero = zero, .place = place};
                parallel::ParameterStore store(specs, options);
                store.allocate_moments();
                planning::RankMemory const said = planning::rank_memory(specs, options),
                                           real = measured(store);
                EXPECT_EQ(said.weights, real.weights)
                    << compute << " ZeRO " << zero << " shard " << place.shard;
                EXPECT_EQ(said.gradients, real.gradients)
                    << compute << " ZeRO " << zero << " shard " << place.shard;
                EXPECT_EQ(said.optimizer, real.optimizer)
                    << compute << " ZeRO " << zero << " shard " << place.shard;
            }
}

TEST_F(Preview, CountsAreThoseOfTheData) {
    planning::RunPreview const p = planning::preview_run(resolved_.config, 2);
    EXPECT_EQ(p.samples, 53);
    EXPECT_EQ(p.steps, 40);
    EXPECT_EQ(p.steps_looked_at, 40);
    auto const inputs = inputs::open_inputs(resolved_.config);
    std::int64_t tokens = 0, parameters = 0, specified = 0;
    for (std::int64_t i = 0; i < inputs.train->size(); ++i) tokens += inputs.train->length(i);
    EXPECT_EQ(p.tokens, tokens);
    for (auto const& part : p.parts) parameters += part.parameters;
    parallel::ParameterStore const store(model::parameter_specs(inputs.model),
                                         parallel::StoreOptions{});
    for (auto const& parameter : store.parameters()) specified += parameter->numel();
    EXPECT_EQ(parameters, specified);
    EXPECT_LE(p.micro_batches.least, p.micro_batches.mean);
    EXPECT_LE(p.micro_batches.mean, static_cast<double>(p.micro_batches.most));
    EXPECT_GE(p.micro_batches.least * 30, p.tokens_per_step.least / 2)
        << "30 tokens to a micro-batch";
    EXPECT_THROW(planning::preview_run(resolved_.config, 0), cluster::InputError);
}

TEST_F(Preview, DerivedValuesSayFromWhat) {
    auto const inputs = inputs::open_inputs(resolved_.config);
    planning::derive_from_inputs(resolved_, inputs);
    planning::derive_layout(resolved_, 6);
    EXPECT_EQ(resolved_.config.parallel.replicate, 6);
    EXPECT_EQ(resolved_.origins.at("parallel.replicate"), "derived: 6 ranks over the other axes");
    EXPECT_EQ(resolved_.origins.at("train.steps").find("derived"), std::string::npos)
        << "the file gives it";
    resolved_.config.train.steps = 0;
    resolved_.config.train.epochs = 2;
    planning::derive_from_inputs(resolved_, inputs::open_inputs(resolved_.config));
    EXPECT_EQ(resolved_.config.train.steps, 2 * 53 / 7);
    EXPECT_EQ(resolved_.origins.at("train.steps"), "derived: 2 epochs of 53 samples, 7 a step");
    EXPECT_EQ(resolved_.config.model.classifier_dropout, 0.0);
    EXPECT_EQ(resolved_.origins.at("model.classifier_dropout"),
              "derived: " + folder_.path() + "/model/config.json");
}

/// The losses of eleven samples, however many are read at a time.
TEST(Evaluations, DoNotHangOnHowManySamplesAreReadAtATime) {
    test::TemporaryFolder const folder;
    data::Manifest manifest{
        .task = data::TaskKind::language_modeling, .vocabulary = 97, .max_length = 5};
    std::vector<data::Sample> samples(11);
    for (std::size_t i = 0; i < samples.size(); ++i)
        for (std::size_t t = 0; t <= i % 4 + 1; ++t) {
            samples[i].tokens.push_back(static_cast<std::int32_t>(7 * i + t));
            samples[i].labels[data::kTokenLabels.name].push_back(t ? static_cast<std::int32_t>(t)
                                                                   : data::kIgnoredLabel);
        }
    manifest.splits["test"].shards = {data::write_shard(folder.path(), "t.h5", samples, {})};
    data::write_manifest(folder.path(), manifest);
    auto const world = cluster::make_thread_world(1, {});
    jobs::EvaluationJob const job{.model = TRIREME_GOLDEN "/llama", .data = folder.path()};
    evaluation::Metrics const whole = jobs::evaluate_model(job, *world[0]).metrics;
    EXPECT_EQ(whole.samples, 11);
    EXPECT_GT(whole.value("loss"), 0);
    for (std::int64_t const at_a_time : {1, 2, 10, 11, 12}) {
        cluster::ForNow<std::int64_t> const fewer(jobs::samples_per_plan, at_a_time);
        evaluation::Metrics const found = jobs::evaluate_model(job, *world[0]).metrics;
        EXPECT_EQ(found.samples, 11) << at_a_time;
        EXPECT_NEAR(found.value("loss"), whole.value("loss"), 1e-6) << at_a_time;
    }
}

} // namespace
} // namespace trireme::framework
