// Every family against values of transformers (tests/golden/make_golden.py), and packed against
// unpacked.
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>

#include "cluster/thread_communicator.hpp"
#include "framework/optimizer/gradient_norm.hpp"
#include "framework/parallelize/parallel_model.hpp"
#include "framework/pretrained/export_model.hpp"
#include "framework/pretrained/hf_tensors.hpp"
#include "framework/pretrained/safetensors_values.hpp"
#include "framework/weights/whole_tensor.hpp"
#include "parallel/engine.hpp"
#include "parallel/gradient_reducer.hpp"
#include "parallel/weight_gatherer.hpp"
#include "tests/framework/pretrained/golden_model.hpp"
#include "tests/support/composed_path.hpp"
#include "tests/support/temporary_folder.hpp"

namespace trireme::framework {
namespace {

using test::golden;
using test::GoldenModel;
using test::pack;
using test::trained_labels;

class Golden : public testing::TestWithParam<char const*> {};

/// Loss, logits and gradients of one forward and backward pass over all samples in one micro-batch.
struct Computed {
    double loss = 0, norm = 0;
    at::Tensor logits;

    explicit Computed(GoldenModel& m) {
        auto const world = cluster::make_thread_world(1, {});
        model::TransformerStage stage(m.model, m.store);
        parallel::Mesh const mesh(*world[0], {});
        parallel::GradientReducer reducer(m.store, mesh);
        parallel::WeightGatherer gatherer(m.store, mesh);
        data::MicroBatch const micro_batch = pack(m.ids(), m.labels());
        std::vector<model::Pass> passes;
        passes.push_back(model::make_pass(micro_batch, true, 0, 0, 1 / trained_labels(m)));
        stage.load(std::move(passes));
        loss = parallel::Engine({&stage}, reducer, gatherer, mesh).forward_backward(1).at(0);
        norm = optimizer::gradient_norm(m.store, mesh);
        logits = stage.logits(model::make_pass(micro_batch, false, 0, 0, 1));
    }
};

/// Every query's scores move alike with a key bias, so softmax does not see it; but rotary
/// positions turn it.
bool has_zero_gradient(model::Config const& model, std::string const& parameter) {
    bool key_bias = false;
    for (std::int64_t i = 0; i < model.layers; ++i)
        key_bias |= model::layer_names(model, i).key.bias == parameter;
    return key_bias && model.positions == model::Positions::learned;
}

void expect_values_of_transformers(char const* name) {
    for (auto const compute : {at::kDouble, at::kFloat}) {
        GoldenModel m(name, {.compute = compute});
        ASSERT_TRUE(m.notes.empty()) << "every tensor comes from the file: " << m.notes.front();
        Computed const ours(m);
        EXPECT_NEAR(ours.loss, m.expected["loss"].get<double>(), 1e-5);
        auto const logits =
            pretrained::read_safetensors_header(golden(name) + "/logits.safetensors").at("logits");
        ASSERT_EQ(ours.logits.sizes().vec(), logits.shape);
        EXPECT_LT(
            (ours.logits - pretrained::read_tensor("logits", logits)).abs().max().item<double>(),
            1e-5);

        auto const gradients =
            pretrained::read_safetensors_header(golden(name) + "/gradients.safetensors");
        auto tensors = pretrained::hf_tensors(m.model);
        std::erase_if(tensors, [](auto const& tensor) { return tensor.scalar; }); // never trained
        ASSERT_EQ(gradients.size(), tensors.size());
        for (auto const& tensor : tensors)
            for (auto const& part : tensor.parts) {
                at::Tensor const reference = pretrained::read_tensor(
                                     tensor.name, gradients.at(tensor.name),
                                     pretrained::rectangle_of(tensor, part)),
                                 gradient = pretrained::values_of(
                                     part, m.store.at(part.parameter).gradient());
                double const size = reference.norm().item<double>(), floor = 1e-6 * ours.norm;
                bool const zero = has_zero_gradient(m.model, part.parameter);
                EXPECT_EQ(size < floor, zero) << part.parameter;
                // A gradient that is zero in truth is noise in float32: it is judged in float64
                // alone.
                if (zero && compute == at::kFloat) continue;
                // the references are stored in float32
                double const bound = compute == at::kDouble ? 2e-6 : 1e-4;
                EXPECT_LT((gradient - reference).norm().item<double>() / std::max(size, floor),
                          bound)
                    << part.parameter;
            }
    }
}

TEST_P(Golden, LossLogitsAndGradientsEqualTransformers) {
    expect_values_of_transformers(GetParam());
}

TEST_P(Golden, SoDoThoseOfAGpusOperations) {
    test::ComposedPath const path;
    expect_values_of_transformers(GetParam());
}

/// One step over all samples as the ranks of a layout compute it, in float64.
struct Laid {
    double loss = 0;
    std::map<std::string, at::Tensor> gradients; ///< whole tensors, by parameter
};

Laid compute_laid(cluster::Communicator& world, char const* name,
                  parallelize::ParallelSection const& section) {
    GoldenModel const m(name);
    parallel::Mesh const mesh(world, parallelize::mesh_shape(section, world.size()));
    parallelize::ParallelModel laid(m.model, mesh, section,
                                    {.compute = parallelize::Compute::fp64});
    pretrained::load_weights(m.config.model, m.config.seed, m.model, laid.store());
    laid.refresh();
    // Each data rank computes the whole step, with its share of the scale.
    double const scale = 1 / trained_labels(m) / mesh.data().size();
    std::vector<model::Pass> passes;
    passes.push_back(model::make_pass(pack(m.ids(), m.labels()), true, 0, 0, scale));
    laid.load(std::move(passes));
    int const copies = mesh.data().size();
    Laid found{laid.engine().forward_backward(copies).at(0) * copies, {}};
    for (auto const& spec : laid.specs())
        if (spec.trainable)
            found.gradients[spec.name] =
                weights::whole_tensor(spec, laid.store(), mesh, weights::Kept::gradient);
    return found;
}

TEST_P(Golden, SoDoThoseOfTensorRanksPipelineStagesAndShards) {
    struct Layout {
        int ranks;
        parallelize::ParallelSection section;
    };
    GoldenModel one(GetParam(), {.compute = at::kDouble});
    double const norm = Computed(one).norm;
    for (auto const& [ranks, section] :
         {Layout{2, {.tensor = 2}}, Layout{2, {.pipeline = 2}},
          Layout{4, {.pipeline = 2, .tensor = 2}}, Layout{4, {.tensor = 2, .shard = 2, .zero = 3}}})
        cluster::run_as_threads(ranks, [&, &section = section](cluster::Communicator& world) {
            Laid const laid = compute_laid(world, GetParam(), section);
            if (world.rank() != 0) return;
            EXPECT_NEAR(laid.loss, one.expected["loss"].get<double>(), 1e-5);
            for (auto const& [parameter, gradient] : laid.gradients)
                EXPECT_LT((gradient - one.store.at(parameter).gradient()).norm().item<double>(),
                          1e-11 * norm)
                    << parameter << ", tensor " << section.tensor << ", pipeline "
                    << section.pipeline << ", zero " << section.zero;
        });
}

/// The loss of each sample when these are packed in one micro-batch.
std::vector<double> losses(GoldenModel& m, std::vector<std::vector<std::int32_t>> const& samples,
                           std::vector<std::int32_t> const& labels) {
    at::NoGradGuard const no_graph;
    model::TransformerStage stage(m.model, m.store);
    std::vector<model::Pass> passes;
    passes.push_back(model::make_pass(pack(samples, labels), false, 0, 0, 1));
    stage.load(std::move(passes));
    at::Tensor boundary = at::zeros({1});
    for (std::size_t b = 0; b < stage.block_count(); ++b) boundary = stage.forward(b, boundary, 0);
    std::vector<double> found;
    for (auto const& r : stage.results().samples) found.push_back(r.loss);
    return found;
}

TEST_P(Golden, AnyCutOfTheSameTokensGivesTheLossesOfItsSamplesAlone) {
    GoldenModel m(GetParam(), {.compute = at::kDouble, .gradients = false});
    bool const classify = m.model.head == model::HeadKind::classification;
    std::mt19937 random(7);
    auto const token = [&] {
        return static_cast<std::int32_t>(random() % static_cast<unsigned>(m.model.vocabulary));
    };
    for (int trial = 0; trial < 8; ++trial) {
        std::vector<std::vector<std::int32_t>> samples(2 + random() % 4);
        std::vector<std::int32_t> labels;
        for (auto& ids : samples) {
            ids.resize(1 + random() % static_cast<unsigned>(
                                          std::min<std::int64_t>(m.model.max_positions, 16)));
            for (auto& id : ids) id = token();
            if (classify)
                labels.push_back(static_cast<std::int32_t>(random() % m.model.labels.size()));
        }
        auto const packed = losses(m, samples, labels);
        ASSERT_EQ(packed.size(), samples.size());
        double sum = 0, together = 0;
        for (std::size_t i = 0; i < samples.size(); ++i) {
            double const alone =
                losses(m, {samples[i]}, classify ? std::vector{labels[i]} : labels).at(0);
            EXPECT_NEAR(packed[i], alone, 1e-12 * (1 + alone)) << "sample " << i;
            sum += alone;
            together += packed[i];
        }
        EXPECT_NEAR(together, sum, 1e-11 * (1 + sum));

        // Other tokens in one sample: no other sample's loss moves by a bit, and its own does.
        std::size_t const changed = random() % samples.size();
        auto others = samples;
        for (auto& id : others[changed])
            id = (id + 1) % static_cast<std::int32_t>(m.model.vocabulary);
        auto const after = losses(m, others, labels);
        auto const trains = [&](std::size_t i) { return classify || samples[i].size() > 1; };
        for (std::size_t i = 0; i < samples.size(); ++i)
            EXPECT_EQ(after[i] == packed[i], i != changed || !trains(i))
                << "sample " << i << ", changed: " << changed;
    }
}

TEST_P(Golden, AnExportAsksForEachParameterOnce) {
    test::TemporaryFolder const temporary;
    GoldenModel const m(GetParam());
    std::map<std::string, int> asked;
    auto const values = [&](std::string const& parameter) {
        ++asked[parameter];
        return m.store.at(parameter).master();
    };
    pretrained::export_model(m.model, values, temporary.path() + "/out",
                             {.dtypes = pretrained::stored_dtypes(m.model, golden(GetParam()))});
    EXPECT_EQ(asked.size(), m.store.parameters().size());
    for (auto const& [parameter, times] : asked) EXPECT_EQ(times, 1) << parameter;
}

INSTANTIATE_TEST_SUITE_P(Models, Golden, testing::ValuesIn(test::kGoldenModels), test::test_name);

/// cos and sin of stretched positions, up to the last of a real model, against transformers'
/// float32 tables.
TEST(Rotary, StretchedPositionsEqualTransformersToOneUnitInTheLastPlace) {
    std::string const path = golden("rotary.safetensors");
    auto const entries = pretrained::read_safetensors_header(path);
    auto const table = [&](std::string const& name) {
        return pretrained::read_tensor(name, entries.at(name));
    };
    at::Tensor const positions = table("positions").to(at::kLong);
    model::Config c;
    c.head_size = 128;
    c.max_positions = 131072;
    auto const compare = [&](std::string const& name) {
        model::RotaryTable const ours = model::rotary_table(c, at::kFloat);
        EXPECT_LE((ours.cosine.index_select(0, positions) - table(name + ".cosine"))
                      .abs()
                      .max()
                      .item<double>(),
                  1.2e-7)
            << name;
        EXPECT_LE((ours.sine.index_select(0, positions) - table(name + ".sine"))
                      .abs()
                      .max()
                      .item<double>(),
                  1.2e-7)
            << name;
    };
    c.rotary_base = 1000000;
    compare("default");
    c.rotary_base = 10000;
    c.rotary = {.scaling = model::RotaryScaling::linear, .factor = 3};
    compare("linear");
    c.rotary_base = 500000;
    c.rotary = {model::RotaryScaling::llama3, 8, 1, 4, 8192};
    compare("llama3");
}

} // namespace
} // namespace trireme::framework
