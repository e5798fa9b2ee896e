// AdamW against torch's own where parts of a model differ: rates of layers, frozen parts.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cluster/file.hpp"
#include "cluster/for_now.hpp"
#include "cluster/thread_communicator.hpp"
#include "framework/optimizer/adamw.hpp"
#include "framework/optimizer/gradient_norm.hpp"
#include "parallel/budgets.hpp"
#include "tests/support/composed_path.hpp"

namespace trireme::test {
namespace {

using namespace framework;

/// A rate for each layer, parts that are not trained and are in no norm
/// (tests/golden/make_layer_rates.py).
TEST(AgainstTorch, AdamWWithRatesOfLayersAndFrozenParts) {
    auto const golden =
        nlohmann::json::parse(cluster::read_file(TRIREME_GOLDEN "/layer_rates.json"));
    std::vector<parallel::ParameterSpec> specs;
    for (std::size_t i = 0; auto const& tensor : golden.at("tensors"))
        specs.push_back({.name = tensor.at("name"),
                         .shape = {std::ssize(golden.at("start").at(i++))},
                         .unit = tensor.at("unit"),
                         .trainable = tensor.at("trained"),
                         .decay = tensor.at("decay")});
    parallel::ParameterStore store(specs, {.compute = at::kDouble});
    auto const world = cluster::make_thread_world(1, {});
    parallel::Mesh const mesh(*world[0], {});
    auto const values = [](nlohmann::json const& list) {
        return at::tensor(list.get<std::vector<double>>(), at::kDouble);
    };
    for (std::size_t i = 0; i < specs.size(); ++i)
        store.at(specs[i].name).master().copy_(values(golden.at("start").at(i)));
    optimizer::AdamW optimizer(store,
                               {.beta1 = golden.at("beta1"),
                                .beta2 = golden.at("beta2"),
                                .epsilon = golden.at("epsilon"),
                                .weight_decay = golden.at("weight_decay"),
                                .layer_decay = golden.at("layer_decay")},
                               false, golden.at("layers"));
    for (std::int64_t step = 0; auto const& row : golden.at("steps")) {
        for (std::size_t i = 0; i < specs.size(); ++i)
            store.at(specs[i].name).gradient().copy_(values(row.at("gradients").at(i)));
        double const norm = optimizer::gradient_norm(store, mesh);
        EXPECT_NEAR(norm, row.at("norm"), 1e-13 * norm);
        // torch's own clip divides by norm + 1e-6
        optimizer.step(
            golden.at("learning_rate"),
            at::scalar_tensor(std::min(1.0, golden.at("clip").get<double>() / (norm + 1e-6)),
                              at::kDouble),
            step++);
        for (std::size_t i = 0; i < specs.size(); ++i)
            EXPECT_TRUE(at::allclose(store.at(specs[i].name).master(),
                                     values(row.at("weights").at(i)), 1e-13, 1e-15))
                << specs[i].name << " step " << step;
    }
}

/// The average of weights that an optimizer left (tests/golden/make_divergence.py), in any dtype
/// and place of the state; an update that is not made moves nothing.
TEST(AgainstTorch, TheMovingAverageOfTheWeights) {
    auto const golden =
        nlohmann::json::parse(cluster::read_file(TRIREME_GOLDEN "/divergence.json")).at("average");
    for (auto const& [dtype, bound] : {std::pair{at::kDouble, 1e-15}, {at::kFloat, 2e-7}})
        for (bool const offload : {false, true}) {
            parallel::ParameterStore store({{.name = "w", .shape = {7}, .unit = "u"}},
                                           {.compute = dtype});
            optimizer::AdamW optimizer(store, {.ema_decay = golden.at("decay")}, offload);
            auto const& unit = *store.units()[0];
            optimizer.start_average();
            auto const scalar = [](double x) { return at::scalar_tensor(x, at::kDouble); };
            for (std::int64_t step = 0; auto const& row : golden.at("steps")) {
                auto const values = [&](char const* key) {
                    return at::tensor(row.at(key).get<std::vector<double>>(), at::kDouble);
                };
                store.at("w").master().copy_(values("weights"));
                at::Tensor const before = unit.average.clone();
                optimizer.step(0, scalar(NAN), step);
                EXPECT_TRUE(unit.average.equal(before)) << "step " << step;
                optimizer.step(0, scalar(1), step++);
                at::Tensor const found = unit.average.narrow(0, 0, 7).to(at::kDouble);
                EXPECT_LT((found - values("average")).abs().max().item<double>(), bound)
                    << "step " << step;
            }
        }
}

/// More gradients than one launch squares, of 1 to 90 numbers in blocks of 64, on either path: the
/// norm of all of them together.
TEST(GradientNorm, OfManyGradientsIsThatOfAllTheirNumbers) {
    cluster::ForNow<std::int64_t> const blocks(parallel::budgets.block, 64);
    std::vector<parallel::ParameterSpec> specs;
    for (int i = 0; i < 300; ++i)
        specs.push_back({.name = "p" + std::to_string(i), .shape = {1 + i * 7 % 90}, .unit = "u"});
    auto const world = cluster::make_thread_world(1, {});
    parallel::Mesh const mesh(*world[0], {});
    for (auto const dtype : {at::kFloat, at::kDouble}) {
        parallel::ParameterStore const store(specs, {.compute = dtype});
        double squares = 0;
        for (auto const& spec : specs) {
            at::Tensor const gradient = at::randn(spec.shape, dtype);
            store.at(spec.name).gradient().copy_(gradient);
            squares += gradient.to(at::kDouble).square().sum().item<double>();
        }
        EXPECT_NEAR(optimizer::gradient_norm(store, mesh), std::sqrt(squares), 1e-9);
        ComposedPath const path;
        EXPECT_NEAR(optimizer::gradient_norm(store, mesh), std::sqrt(squares), 1e-9);
    }
}

} // namespace
} // namespace trireme::test
