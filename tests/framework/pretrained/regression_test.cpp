// Heads of samples beside classifiers, weights of classes, and the head of a masked language model,
// against transformers' (tests/golden): outputs, the loss, and the gradient of every parameter.
#include <gtest/gtest.h>

#include <array>
#include <numeric>
#include <utility>

#include "cluster/thread_communicator.hpp"
#include "data/memory_dataset.hpp"
#include "data/token_weights.hpp"
#include "framework/inputs/model_config.hpp"
#include "framework/model/transformer_stage.hpp"
#include "framework/parallelize/parallel_model.hpp"
#include "framework/pretrained/hf_config.hpp"
#include "framework/pretrained/hf_tensors.hpp"
#include "framework/pretrained/weights.hpp"
#include "framework/verify/token_file.hpp"
#include "tests/framework/pretrained/golden_model.hpp"
#include "tests/support/composed_path.hpp"

namespace trireme::framework {
namespace {

using test::golden;

struct Case {
    char const *folder, *task;
};
constexpr Case kRegressor{"bert-regressor", "regression"};
constexpr std::array kCases{kRegressor,
                            Case{"bert-multi-label", "multi-label"},
                            Case{"gpt2-multi-label", "multi-label"},
                            Case{"qwen3-multi-label", "multi-label"},
                            Case{"bert-weighted", "classification"},
                            Case{"bert-masked", "masked-language-modeling"},
                            Case{"bert-tokens", "token-classification"},
                            Case{"gpt2-tokens", "token-classification"},
                            Case{"llama-tokens", "token-classification"},
                            Case{"bert-answers", "question-answering"},
                            Case{"gpt2-answers", "question-answering"},
                            Case{"llama-answers", "question-answering"},
                            Case{"mistral-answers", "question-answering"},
                            Case{"gpt-neox-tokens", "token-classification"},
                            Case{"gpt-neox-answers", "question-answering"},
                            Case{"phi3-tokens", "token-classification"},
                            Case{"gemma2-tokens", "token-classification"},
                            Case{"ministral-tokens", "token-classification"},
                            Case{"smollm3-answers", "question-answering"},
                            Case{"llama-weighted", "language-modeling"},
                            Case{"modernbert-masked", "masked-language-modeling"},
                            Case{"modernbert-masked-untied", "masked-language-modeling"},
                            Case{"modernbert-tokens", "token-classification"},
                            Case{"modernbert-answers", "question-answering"},
                            Case{"eurobert-masked", "masked-language-modeling"},
                            Case{"eurobert-tokens", "token-classification"},
                            Case{"roberta-masked", "masked-language-modeling"},
                            Case{"roberta-tokens", "token-classification"},
                            Case{"xlm-roberta-answers", "question-answering"},
                            Case{"distilbert-masked", "masked-language-modeling"},
                            Case{"distilbert-tokens", "token-classification"},
                            Case{"distilbert-answers", "question-answering"},
                            Case{"apertus-tokens", "token-classification"}};

struct Regressor {
    config::Config config;
    model::Config model;

    explicit Regressor(Case const& head = kRegressor) {
        config.task = head.task;
        config.model.path = golden(head.folder);
        config.model.hidden_dropout = config.model.attention_dropout =
            config.model.classifier_dropout = 0;
        bool const named = data::task_named(config.task, "task").least_labels > 0;
        model = inputs::read_model_config(
            config, named ? pretrained::labels_of(pretrained::read_hf_config(config.model.path))
                          : std::vector<std::string>{});
        model.class_weights = expected().value("weights", std::vector<double>{});
    }
    nlohmann::json expected() const {
        return nlohmann::json::parse(cluster::read_file(config.model.path + "/expected.json"));
    }
};

/// Gives the tokens of a batch their weights. Returns the sum of these.
double weigh(nlohmann::json const& of_samples, data::MicroBatch& batch) {
    std::vector<std::int32_t> weights;
    for (auto const& sample : of_samples)
        for (auto const& weight : sample) weights.push_back(weight);
    data::append_weights(weights, batch);
    return std::accumulate(weights.begin(), weights.end(), 0.0) / data::kWeightUnit;
}

/// One forward and backward pass over all samples of a file of tokens in one micro-batch.
struct ComputedHead {
    double loss = 0;
    model::Results results;

    ComputedHead(Regressor const& r, nlohmann::json const& json, parallel::ParameterStore& store) {
        nlohmann::json const file{{"input_ids", json.at("ids")}, {"labels", json.at("labels")}};
        auto const set =
            verify::make_dataset(verify::to_token_file("expected.json", file), r.model);
        auto const plan = data::plan_evaluation(*set, {set->size(), 1 << 20, 1}).at(0);
        auto const world = cluster::make_thread_world(1, {});
        model::TransformerStage stage(r.model, store);
        parallel::Mesh const mesh(*world[0], {});
        parallel::GradientReducer reducer(store, mesh);
        parallel::WeightGatherer gatherer(store, mesh);
        auto divisor = static_cast<double>(data::count_trained(*set, plan));
        if (auto const& weights = r.model.class_weights; !weights.empty()) {
            divisor = 0;
            for (std::int64_t i = 0; i < set->size(); ++i)
                divisor += weights.at(static_cast<std::size_t>(set->class_of(i)));
        }
        auto batch = set->read(plan.micro_batches.at(0), 1);
        if (json.contains("token_weights")) divisor = weigh(json["token_weights"], batch);
        std::vector<model::Pass> passes;
        passes.push_back(model::make_pass(std::move(batch), true, 0, 0, 1.0 / divisor));
        passes.back().keep_logits = true;
        stage.load(std::move(passes));
        loss = parallel::Engine({&stage}, reducer, gatherer, mesh).forward_backward(1).at(0);
        results = stage.results();
    }
};

void expect_head_of_transformers(Case const& head) {
    SCOPED_TRACE(head.folder);
    Regressor const r(head);
    auto const expected = r.expected();
    for (auto const compute : {at::kDouble, at::kFloat}) {
        parallel::ParameterStore store(model::parameter_specs(r.model), {.compute = compute});
        ASSERT_TRUE(pretrained::load_weights(r.config.model, r.config.seed, r.model, store)
                        .notes()
                        .empty());
        store.refresh_compute();
        ComputedHead const ours(r, expected, store);
        EXPECT_NEAR(ours.loss, expected["loss"].get<double>(), 1e-5);
        auto const header =
            pretrained::read_safetensors_header(golden(head.folder) + "/logits.safetensors");
        at::Tensor const logits = pretrained::read_tensor("logits", header.at("logits"));
        ASSERT_EQ(ours.results.logits.size(), static_cast<std::size_t>(logits.numel()));
        for (std::int64_t i = 0; i < logits.numel(); ++i)
            EXPECT_NEAR(ours.results.logits[static_cast<std::size_t>(i)],
                        logits.const_data_ptr<float>()[i], 1e-5);
        if (model::traits_of(r.model.head).learns == data::Values::reals) {
            std::vector<float> targets;
            for (auto const& row : expected["labels"])
                for (auto const& value : row) targets.push_back(value.get<float>());
            EXPECT_EQ(ours.results.targets, targets);
        }
        auto const gradients =
            pretrained::read_safetensors_header(golden(head.folder) + "/gradients.safetensors");
        auto tensors = pretrained::hf_tensors(r.model);
        std::erase_if(tensors, [](auto const& tensor) { return tensor.scalar; }); // never trained
        ASSERT_EQ(gradients.size(), tensors.size());
        double const bound = compute == at::kDouble ? 2e-6 : 1e-4;
        for (auto const& tensor : tensors)
            for (auto const& part : tensor.parts) {
                at::Tensor const reference = pretrained::read_tensor(
                    tensor.name, gradients.at(tensor.name), pretrained::rectangle_of(tensor, part));
                double const size = std::max(reference.norm().item<double>(), 1e-3);
                at::Tensor const ours_of =
                    pretrained::values_of(part, store.at(part.parameter).gradient());
                EXPECT_LT((ours_of - reference).norm().item<double>(), bound * size)
                    << part.parameter;
            }
        if (!r.model.class_weights.empty()) continue; // which transformers' own loss has not
        // transformers' own loss, of samples of one length
        EXPECT_NEAR(ComputedHead(r, expected["own"], store).loss,
                    expected["own"]["loss"].get<double>(), 1e-5);
    }
}

TEST(Heads, LossOutputsAndGradientsEqualTransformers) {
    for (auto const& head : kCases) expect_head_of_transformers(head);
}

TEST(Heads, SoDoThoseOfAGpusOperations) {
    test::ComposedPath const path;
    for (auto const& head : kCases) expect_head_of_transformers(head);
}

/// Without its weights a class counts as any other, and evaluation never has them.
TEST(Heads, WeightsOfClassesCountInTrainingAlone) {
    Regressor r(kCases[4]);
    parallel::ParameterStore store(model::parameter_specs(r.model), {.compute = at::kDouble});
    pretrained::load_weights(r.config.model, r.config.seed, r.model, store);
    store.refresh_compute();
    auto const weighted = ComputedHead(r, r.expected(), store).results.samples;
    auto const weights = std::exchange(r.model.class_weights, {});
    auto const plain = ComputedHead(r, r.expected(), store).results.samples;
    for (std::size_t i = 0; i < plain.size(); ++i)
        EXPECT_NEAR(weighted[i].loss,
                    plain[i].loss * weights.at(static_cast<std::size_t>(plain[i].label)), 1e-12);
    EXPECT_NE(weighted.at(0).loss, plain.at(0).loss);
}

TEST(Regression, ANumberThatIsMissingIsNotLearnt) {
    Regressor const r;
    auto expected = r.expected();
    for (bool const composed : {false, true}) {
        std::optional<test::ComposedPath> path;
        if (composed) path.emplace();
        parallel::ParameterStore store(model::parameter_specs(r.model), {.compute = at::kDouble});
        pretrained::load_weights(r.config.model, r.config.seed, r.model, store);
        store.refresh_compute();
        auto some = expected;
        some["labels"][1][0] = nullptr;
        ComputedHead const ours(r, some, store);
        double sum = 0;
        for (std::size_t i = 0; i < 8; ++i)
            if (i != 2) {
                auto const away = static_cast<double>(ours.results.logits[i]) -
                                  some["labels"][i / 2][i % 2].get<double>();
                sum += away * away;
            }
        EXPECT_NEAR(ours.loss, sum / 7, 1e-5);
        EXPECT_EQ(ours.results.samples.at(1).trained, 1);
    }
}

TEST(Regression, AnExportSaysWhatItsOutputsAre) {
    Regressor r;
    auto const json = nlohmann::json::parse(pretrained::to_hf_config(r.model, ""));
    EXPECT_EQ(json.at("problem_type"), "regression");
    EXPECT_EQ(json.at("id2label"), (nlohmann::json{{"0", "warmth"}, {"1", "pace"}}));
    EXPECT_EQ(json.at("architectures"), nlohmann::json{"BertForSequenceClassification"});
    // of a classifier's folder too
    r.config.model.path = golden("bert");
    model::Config const other = inputs::read_model_config(r.config, {"score"});
    auto const changed = nlohmann::json::parse(pretrained::to_hf_config(other, ""));
    EXPECT_EQ(changed.at("problem_type"), "regression");
    EXPECT_EQ(changed.at("id2label"), (nlohmann::json{{"0", "score"}}));
}

} // namespace
} // namespace trireme::framework
