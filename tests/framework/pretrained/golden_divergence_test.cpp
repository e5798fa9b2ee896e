// The divergence from a base model against values of transformers
// (tests/golden/make_divergence.py).
#include <gtest/gtest.h>

#include <string>

#include "cluster/file.hpp"
#include "cluster/thread_communicator.hpp"
#include "framework/parallelize/parallel_model.hpp"
#include "framework/pretrained/hf_tensors.hpp"
#include "framework/weights/whole_tensor.hpp"
#include "parallel/engine.hpp"
#include "tests/framework/pretrained/golden_model.hpp"
#include "tests/support/composed_path.hpp"

namespace trireme::framework {
namespace {

using test::golden;
using test::GoldenModel;
using test::pack;
using test::trained_labels;

/// A factor of all weights makes the base of tests/golden/make_divergence.py.
void fill_base(parallelize::ParallelModel& model, GoldenModel const& m, double factor) {
    pretrained::load_weights(m.config.model, m.config.seed, m.model, model.base()->store());
    for (auto& unit : model.base()->store().units()) unit->master.mul_(factor);
    model.base()->refresh();
}

void expect_divergence_of_transformers(cluster::Communicator& world, char const* name,
                                       parallelize::ParallelSection const& section) {
    auto const golden_values = nlohmann::json::parse(cluster::read_file(golden("divergence.json")));
    auto const& expected = golden_values.at("models").at(name);
    GoldenModel const m(name);
    parallel::Mesh const mesh(world, parallelize::mesh_shape(section, world.size()));
    parallelize::NumericsSection const exact{.compute = parallelize::Compute::fp64};
    parallelize::ParallelModel laid(m.model, mesh, section, exact);
    double const weight = golden_values.at("weight");
    laid.keep_base(weight, section, exact);
    pretrained::load_weights(m.config.model, m.config.seed, m.model, laid.store());
    fill_base(laid, m, golden_values.at("base"));
    laid.refresh();
    int const copies = mesh.data().size(); // each computes the whole, with its share of the scale
    std::vector<model::Pass> passes;
    passes.push_back(
        model::make_pass(pack(m.ids(), {}), true, 0, 0, 1 / trained_labels(m) / copies));
    laid.load(std::move(passes));
    laid.queue(copies);
    double const loss = laid.engine().losses()[0].item<double>() * copies;
    double const plain = expected.at("cross_entropy"), divergence = expected.at("divergence");
    EXPECT_GT(weight * divergence, 1e-3) << "a base that is the model shows nothing";
    // The angles of transformers are float32 in a float64 model, too.
    EXPECT_NEAR(loss, plain + weight * divergence, 1e-6);
    for (auto const& tensor : pretrained::hf_tensors(m.model)) {
        if (tensor.parts.size() != 1) continue;
        auto const& spec = *std::ranges::find(laid.specs(), tensor.parts[0].parameter,
                                              &parallel::ParameterSpec::name);
        at::Tensor const gradient =
            pretrained::values_of(tensor.parts[0], weights::whole_tensor(spec, laid.store(), mesh,
                                                                         weights::Kept::gradient))
                .flatten();
        double const norm = expected.at("gradients").at(tensor.name).at(0),
                     waves = expected.at("gradients").at(tensor.name).at(1),
                     bound = 2e-6 * (1 + norm);
        EXPECT_NEAR(gradient.norm().item<double>(), norm, bound) << name << ": " << tensor.name;
        at::Tensor const cosines = at::cos(0.7 * at::arange(gradient.numel(), at::kDouble));
        EXPECT_NEAR(gradient.dot(cosines).item<double>(), waves, bound)
            << name << ": " << tensor.name;
    }
}

class GoldenDivergence : public testing::TestWithParam<char const*> {};

TEST_P(GoldenDivergence, LossAndGradientsEqualTransformersInEveryLayout) {
    struct Layout {
        int ranks;
        parallelize::ParallelSection section;
    };
    for (auto const& [ranks, section] :
         {Layout{1, {}}, Layout{2, {.tensor = 2}}, Layout{2, {.pipeline = 2}},
          Layout{2, {.shard = 2, .zero = 3}}, Layout{2, {.shard = 2, .zero = 2}},
          Layout{4, {.pipeline = 2, .tensor = 2}}, Layout{4, {.tensor = 2, .shard = 2, .zero = 3}}})
        cluster::run_as_threads(ranks, [&, &section = section](cluster::Communicator& world) {
            expect_divergence_of_transformers(world, GetParam(), section);
        });
}

TEST_P(GoldenDivergence, SoDoThoseOfAGpusOperations) {
    test::ComposedPath const path;
    for (parallelize::ParallelSection const& section :
         {parallelize::ParallelSection{}, parallelize::ParallelSection{.tensor = 2}})
        cluster::run_as_threads(section.tensor, [&](cluster::Communicator& world) {
            expect_divergence_of_transformers(world, GetParam(), section);
        });
}

INSTANTIATE_TEST_SUITE_P(Models, GoldenDivergence,
                         testing::Values("llama", "llama-tied-biased", "qwen3", "gemma2",
                                         "gpt-neox"),
                         test::test_name);

} // namespace
} // namespace trireme::framework
