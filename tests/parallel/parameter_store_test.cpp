#include "parallel/parameter_store.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "cluster/error.hpp"

namespace trireme::parallel {
namespace {

std::vector<ParameterSpec> specs() {
    ParameterSpec embedding{.name = "embed", .shape = {101, 8}, .unit = "embeddings", .uses = 2};
    ParameterSpec weight{.name = "layers.0.w", .shape = {24, 8}, .unit = "layers.0"};
    ParameterSpec norm{
        .name = "layers.0.norm", .shape = {8}, .unit = "layers.0", .initial = Initial::ones};
    return {embedding, weight, norm};
}

TEST(ParameterStore, InitialWeightsDependOnSeedAndNameAlone) {
    ParameterStore store(specs(), {}),
        reordered({specs()[1], specs()[2], specs()[0]}, {.place = {.shard = 3}});
    for (auto const& p : store.parameters()) store.initialize(*p, 11);
    for (auto const& p : reordered.parameters()) reordered.initialize(*p, 11);
    for (auto const& p : store.parameters())
        EXPECT_TRUE(at::equal(p->master(), reordered.at(p->spec().name).master()));
    ParameterStore other(specs(), {});
    other.initialize(other.at("embed"), 12);
    EXPECT_FALSE(at::equal(other.at("embed").master(), store.at("embed").master()));
    EXPECT_FALSE(at::equal(store.at("embed").master().flatten().narrow(0, 0, 8),
                           store.at("layers.0.w").master().flatten().narrow(0, 0, 8)));
}

TEST(ParameterStore, InitialWeightsAreNormal) {
    ParameterStore store({{.name = "w", .shape = {300, 400}, .unit = "u", .deviation = 0.5}}, {});
    store.initialize(store.at("w"), 3);
    auto const values = store.at("w").master().to(at::kDouble);
    EXPECT_NEAR(values.mean().item<double>(), 0.0, 4 * 0.5 / std::sqrt(120000.0));
    EXPECT_NEAR(values.std().item<double>(), 0.5, 0.01);
    EXPECT_NEAR((values.abs() < 0.5).to(at::kDouble).mean().item<double>(), 0.6827, 0.01);
}

TEST(ParameterStore, DoubleModeStartsFromTheSameWeights) {
    ParameterStore single(specs(), {}), oracle(specs(), {.compute = at::kDouble});
    single.initialize(single.at("embed"), 5);
    oracle.initialize(oracle.at("embed"), 5);
    EXPECT_TRUE(
        at::equal(single.at("embed").master().to(at::kDouble), oracle.at("embed").master()));
}

TEST(ParameterStore, FastModeAddsMicroBatchesIntoOneBuffer) {
    ParameterStore store(specs(), {});
    ParameterUse const weight{store.at("layers.0.w")};
    at::Tensor const a = at::randn({24, 5}), b = at::randn({5, 8});
    store.begin_step();
    for (int micro_batch = 0; micro_batch < 3; ++micro_batch) {
        weight.deliver_product(a, b);
        store.units()[store.unit_index("layers.0")]->close_micro_batch();
    }
    EXPECT_TRUE(at::allclose(store.at("layers.0.w").gradient(), 3 * at::mm(a, b), 1e-5, 1e-5));
    store.begin_step();
    weight.deliver_product(a, b);
    EXPECT_TRUE(at::allclose(store.at("layers.0.w").gradient(), at::mm(a, b), 1e-6, 1e-6))
        << "a new step starts from nothing";
}

TEST(ParameterStore, ASecondDeliveryInOneMicroBatchIsAnError) {
    ParameterStore store(specs(), {.separate_micro_batches = true});
    ParameterUse const norm{store.at("layers.0.norm")};
    store.begin_step();
    norm.deliver(at::ones({8}));
    EXPECT_THROW(norm.deliver(at::ones({8})), cluster::JobError);
}

TEST(ParameterStore, AMissingDeliveryIsNamed) {
    ParameterStore store(specs(), {});
    store.begin_step();
    ParameterUse{store.at("layers.0.w")}.deliver(at::zeros({24, 8}));
    try {
        store.check_all_delivered(store.unit_index("layers.0"));
        FAIL() << "the norm's gradient is missing";
    } catch (cluster::JobError const& error) {
        EXPECT_STREQ(error.what(), "parameter layers.0.norm got no gradient in this micro-batch");
    }
}

TEST(ParameterStore, RefusesATiedParameterThatSharesItsUnit) {
    auto shared = specs();
    shared[1].uses = 2;
    EXPECT_THROW(ParameterStore(shared, {}), cluster::InputError);
}

} // namespace
} // namespace trireme::parallel
