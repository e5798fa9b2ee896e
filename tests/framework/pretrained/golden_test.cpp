// Tiny random models against values of transformers (tests/golden/make_golden.py).
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "cluster/thread_communicator.hpp"
#include "framework/model/transformer_stage.hpp"
#include "framework/optimizer/gradient_norm.hpp"
#include "framework/pretrained/safetensors.hpp"
#include "framework/pretrained/weights.hpp"
#include "parallel/engine.hpp"
#include "parallel/gradient_reducer.hpp"
#include "tests/support/temporary_folder.hpp"

namespace trireme::framework {
namespace {

std::string golden(std::string const& name) {
    return std::string(TRIREME_GOLDEN) + "/" + name;
}

struct Loaded {
    Config config;
    ModelConfig model;
    nlohmann::json expected;

    explicit Loaded(std::string const& name) {
        expected = nlohmann::json::parse(cluster::read_file(golden(name) + "/expected.json"));
        config.task = name == "bert" ? "classification" : "language-modeling";
        config.model.path = golden(name);
        model = read_model_config(config, name == "bert" ? std::vector<std::string>{"bad", "good", "so-so"}
                                                         : std::vector<std::string>{});
    }
};

/// All samples packed in one slot.
Pass packed(nlohmann::json const& expected) {
    data::Slot slot;
    slot.offsets.push_back(0);
    double trained = 0;
    for (std::size_t i = 0; i < expected["ids"].size(); ++i) {
        auto const ids = expected["ids"][i].get<std::vector<std::int32_t>>();
        for (std::size_t t = 0; t < ids.size(); ++t) {
            slot.tokens.push_back(ids[t]);
            slot.positions.push_back(static_cast<std::int32_t>(t));
            slot.segments.push_back(0);
            slot.token_labels.push_back(t + 1 < ids.size() ? ids[t + 1] : data::kIgnoredLabel);
        }
        slot.offsets.push_back(slot.token_count());
        slot.sample_ids.push_back(static_cast<std::int64_t>(i));
        trained += expected["labels"].empty() ? static_cast<double>(ids.size() - 1) : 1;
    }
    slot.sample_labels = expected["labels"].get<std::vector<std::int32_t>>();
    return make_pass(std::move(slot), true, 0, 0, 1 / trained);
}

class Golden : public testing::TestWithParam<char const*> {};

/// One forward and backward pass over all samples in one slot.
struct Computed {
    parallel::ParameterStore store;
    Results results;
    double loss = 0;

    Computed(Loaded& loaded, at::ScalarType compute) : store(parameter_specs(loaded.model), {.compute = compute}) {
        EXPECT_TRUE(load_weights(loaded.config, loaded.model, store).empty()) << "every tensor comes from the file";
        auto const world = cluster::make_thread_world(1, {});
        TransformerStage stage(loaded.model, store);
        parallel::GradientReducer reducer(store, *world[0]);
        std::vector<Pass> passes;
        passes.push_back(packed(loaded.expected));
        stage.load(std::move(passes));
        loss = parallel::Engine(stage, reducer).forward_backward(1).at(0);
        results = stage.results();
    }
};

TEST_P(Golden, LossLogitsAndGradientsEqualTransformers) {
    Loaded loaded(GetParam());
    loaded.model.hidden_dropout = loaded.model.attention_dropout = loaded.model.classifier_dropout = 0;
    for (auto const compute : {at::kDouble, at::kFloat}) {
        Computed const ours(loaded, compute);
        double const bound = compute == at::kDouble ? 1e-6 : 1e-4; // the references are stored in float32
        EXPECT_NEAR(ours.loss, loaded.expected["loss"].get<double>(), 1e-5);
        std::size_t next = 0;
        for (auto const& row : loaded.expected["logits"])
            for (double const value : row)
                EXPECT_NEAR(static_cast<double>(ours.results.logits.at(next++)), value, 1e-5);
        auto const gradients = read_safetensors_header(golden(GetParam()) + "/gradients.safetensors");
        EXPECT_EQ(gradients.size(), ours.store.parameters().size());
        double const global = gradient_norm(ours.store);
        for (auto const& [name, entry] : gradients) {
            at::Tensor const reference = read_tensor(name, entry);
            double const size = reference.norm().item<double>();
            // In float32 a gradient that is zero in truth is noise on both sides: only its size can be judged.
            double const floor = compute == at::kDouble ? 1e-6 * global : 1e-3 * global;
            EXPECT_LT((ours.store.at(name).gradient() - reference).norm().item<double>() / std::max(size, floor), bound)
                << name;
        }
    }
}

TEST_P(Golden, ImportThenExportGivesTheSameTensorsBitForBit) {
    Loaded const loaded(GetParam());
    parallel::ParameterStore store(parameter_specs(loaded.model), {.gradients = false});
    load_weights(loaded.config, loaded.model, store);
    test::TemporaryFolder const folder;
    std::string const out = folder.path() + "/export";
    export_model(loaded.model, store, golden("tokenizer"), out);
    auto const before = read_safetensors_header(golden(GetParam()) + "/model.safetensors");
    auto const after = read_safetensors_header(out + "/model.safetensors");
    EXPECT_EQ(after.size(), before.size());
    for (auto const& [name, entry] : before)
        EXPECT_TRUE(at::equal(read_tensor(name, entry), read_tensor(name, after.at(name)))) << name;
    auto const config = nlohmann::json::parse(cluster::read_file(out + "/config.json"));
    auto original = nlohmann::json::parse(cluster::read_file(golden(GetParam()) + "/config.json"));
    for (auto const& [key, value] : original.items()) EXPECT_EQ(config.at(key), value) << key;
    EXPECT_TRUE(std::filesystem::exists(out + "/tokenizer.json"));
    EXPECT_THROW(export_model(loaded.model, store, golden("tokenizer"), out), cluster::InputError)
        << "never overwrites";
}
INSTANTIATE_TEST_SUITE_P(Models, Golden, testing::Values("bert", "llama", "llama-tied"));

TEST(Labels, AClassifierOfOtherLabelsStartsAnew) {
    Loaded loaded("bert");
    loaded.model.labels = {"no", "yes", "maybe"};
    parallel::ParameterStore store(parameter_specs(loaded.model), {.gradients = false});
    auto const notes = load_weights(loaded.config, loaded.model, store);
    ASSERT_EQ(notes.size(), 1U);
    EXPECT_EQ(notes[0], "new, from seed 1: classifier.weight, classifier.bias");
}

/// A safetensors file with this header over 16 bytes of data.
std::string error_of(std::string const& header, std::size_t data = 16) {
    test::TemporaryFolder const folder;
    std::string const path = folder.path() + "/model.safetensors";
    std::uint64_t const length = header.size();
    std::string bytes(reinterpret_cast<char const*>(&length), 8);
    cluster::write_file(path, bytes + header + std::string(data, '\0'));
    try {
        read_safetensors_header(path);
    } catch (cluster::InputError const& error) {
        return error.what();
    }
    return "no error";
}

TEST(Safetensors, RefusesEveryLie) {
    auto const says = [](std::string const& message, char const* part) {
        EXPECT_NE(message.find(part), std::string::npos) << message;
    };
    EXPECT_EQ(error_of(R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}})"), "no error");
    says(error_of(R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}})", 12), "truncated");
    says(error_of(R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}})", 20), "4 bytes after the last tensor");
    says(error_of(R"({"a":{"dtype":"F32","shape":[5],"data_offsets":[0,16]}})"), "does not fit its 16 bytes");
    says(error_of(R"({"a":{"dtype":"F33","shape":[4],"data_offsets":[0,16]}})"), "dtype F33: legal");
    says(
        error_of(
            R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})"),
        "overlap");
    says(
        error_of(
            R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}})"),
        "hole");
    says(
        error_of(
            R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}})"),
        "stands twice");
    says(error_of(R"({"a":{"dtype":"F32","shape":[-4],"data_offsets":[0,16]}})"), "impossible");
    says(error_of(R"({"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,16]}})"), "impossible");
    says(error_of("{\"a\""), "not JSON");
    says(error_of("[]"), "not a JSON object");
}

} // namespace
} // namespace trireme::framework
