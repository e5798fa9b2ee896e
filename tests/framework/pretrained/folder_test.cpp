// Hugging Face folders in and out: dtypes, shards, rectangles, labels, and exports that are not
// whole.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <random>

#include "cluster/error.hpp"
#include "framework/inputs/model_config.hpp"
#include "framework/pretrained/export_model.hpp"
#include "framework/pretrained/hf_config.hpp"
#include "framework/pretrained/safetensors_values.hpp"
#include "tests/framework/pretrained/golden_model.hpp"
#include "tests/framework/pretrained/published_model.hpp"
#include "tests/support/temporary_folder.hpp"

namespace trireme::framework {
namespace {

namespace fs = std::filesystem;
using test::golden;
using test::GoldenModel;
using test::shape_of;
using test::TemporaryFolder;

pretrained::ParameterValues values_of(parallel::ParameterStore const& store) {
    return [&store](std::string const& parameter) { return store.at(parameter).master(); };
}

void expect_same_tensors(std::string const& a, std::string const& b) {
    auto const before = pretrained::find_tensors(a), after = pretrained::find_tensors(b);
    EXPECT_EQ(after.size(), before.size());
    for (auto const& [name, entry] : before) {
        ASSERT_TRUE(after.contains(name)) << name;
        EXPECT_EQ(after.at(name).dtype, entry.dtype) << name;
        EXPECT_TRUE(at::equal(pretrained::read_tensor(name, entry),
                              pretrained::read_tensor(name, after.at(name))))
            << name;
    }
}

class Folder : public testing::TestWithParam<char const*> {};

TEST_P(Folder, ImportThenExportGivesTheSameTensorsAndConfigurationInEveryDtype) {
    TemporaryFolder const temporary;
    struct Variant {
        at::ScalarType dtype;
        std::int64_t shard_bytes;
    };
    for (auto const& [dtype, shard_bytes] : std::vector<Variant>{{at::kFloat, 1 << 30},
                                                                 {at::kFloat, 8000},
                                                                 {at::kBFloat16, 1 << 30},
                                                                 {at::kBFloat16, 5000},
                                                                 {at::kHalf, 5000},
                                                                 {at::kDouble, 1 << 30}}) {
        std::string const stem = temporary.path() + "/" + at::toString(dtype) +
                                 std::to_string(shard_bytes),
                          in = stem + "-in", out = stem + "-out";
        publish(GetParam(), in, dtype, shard_bytes);
        EXPECT_EQ(fs::exists(in + "/model.safetensors"), shard_bytes > 8000)
            << "the small limit makes shards";
        bool const wide = dtype == at::kDouble;
        GoldenModel const m(GetParam(),
                            {.compute = wide ? at::kDouble : at::kFloat, .gradients = false}, in);
        EXPECT_TRUE(m.notes.empty());
        pretrained::export_model(m.model, values_of(m.store), out,
                                 {.dtypes = pretrained::stored_dtypes(m.model, in),
                                  .files_from = {golden("tokenizer"), in},
                                  .shard_bytes = shard_bytes});
        expect_same_tensors(in, out);
        EXPECT_EQ(config_of(out), config_of(in));
        EXPECT_TRUE(fs::exists(out + "/tokenizer.json"));
        EXPECT_FALSE(fs::exists(out + ".partial"));
    }
}

TEST_P(Folder, ExportOfWhatTransformersWroteIsTheSame) {
    TemporaryFolder const temporary;
    std::string const out = temporary.path() + "/out";
    GoldenModel const m(GetParam());
    pretrained::export_model(m.model, values_of(m.store), out,
                             {.dtypes = pretrained::stored_dtypes(m.model, golden(GetParam())),
                              .files_from = {golden(GetParam())}});
    expect_same_tensors(golden(GetParam()), out);
    EXPECT_EQ(config_of(out), config_of(golden(GetParam())));
}

TEST_P(Folder, EveryParameterReadsItsOwnRectangle) {
    std::mt19937 random(3);
    for (auto const& [name, entry] : pretrained::find_tensors(golden(GetParam()))) {
        storage::Shape const shape = shape_of(entry);
        at::Tensor const whole = pretrained::read_tensor(name, entry);
        for (int trial = 0; trial < 5; ++trial) {
            storage::Rectangle r{storage::Shape(shape.size()), storage::Shape(shape.size())};
            at::Tensor expected = whole;
            for (std::size_t d = 0; d < shape.size(); ++d) {
                r.start[d] = static_cast<std::int64_t>(random() % static_cast<unsigned>(shape[d]));
                r.count[d] = 1 + static_cast<std::int64_t>(
                                     random() % static_cast<unsigned>(shape[d] - r.start[d]));
                expected = expected.narrow(static_cast<std::int64_t>(d), r.start[d], r.count[d]);
            }
            EXPECT_TRUE(at::equal(pretrained::read_tensor(name, entry, r), expected)) << name;
        }
        EXPECT_THROW(pretrained::read_tensor(name, entry, {storage::Shape(shape.size(), 1), shape}),
                     cluster::JobError);
    }
}

INSTANTIATE_TEST_SUITE_P(Models, Folder, testing::ValuesIn(test::kGoldenModels), test::test_name);

TEST(Export, DtypeOnRequestIsInTheTensorsAndInTheConfiguration) {
    TemporaryFolder const temporary;
    GoldenModel const m("qwen3");
    for (auto const& [asked, stored, named] :
         std::vector<std::array<std::string, 3>>{{"bf16", "BF16", "bfloat16"},
                                                 {"fp16", "F16", "float16"},
                                                 {"fp32", "F32", "float32"}}) {
        std::string const out = temporary.path() + "/" + asked;
        pretrained::export_model(m.model, values_of(m.store), out,
                                 {.dtype = asked,
                                  .dtypes = pretrained::stored_dtypes(m.model, golden("qwen3")),
                                  .files_from = {golden("qwen3")}});
        for (auto const& [name, entry] : pretrained::find_tensors(out)) {
            EXPECT_EQ(entry.dtype, stored) << name;
            at::Tensor const master = m.store.at(name).master(),
                             written = pretrained::read_tensor(name, entry);
            EXPECT_TRUE(at::equal(written, master.to(written.scalar_type()))) << name;
        }
        EXPECT_EQ(config_of(out).at("dtype"), named);
    }
    std::string const out = temporary.path() + "/other";
    EXPECT_THROW(pretrained::export_model(m.model, values_of(m.store), out, {.dtype = "int8"}),
                 cluster::InputError);
    EXPECT_THROW(
        pretrained::export_model(m.model, values_of(m.store), temporary.path() + "/bf16", {}),
        cluster::InputError)
        << "never overwrites";
    m.store.at("lm_head.weight").master()[0][0] = 1e6;
    try {
        pretrained::export_model(m.model, values_of(m.store), out, {.dtype = "fp16"});
        FAIL() << "an infinity was written in silence";
    } catch (cluster::InputError const& error) {
        EXPECT_STREQ(error.what(), "dtype: fp16: lm_head.weight has values beyond 65504, the "
                                   "largest of fp16; legal: bf16, fp32");
    }
    EXPECT_FALSE(fs::exists(out) || fs::exists(out + ".partial"));
}

/// Returns what finish() says of an export whose parts were tampered with.
std::string fault(char const* model,
                  std::function<void(std::vector<pretrained::HfTensor>&)> const& tamper) {
    TemporaryFolder const temporary;
    GoldenModel const m(model);
    auto tensors = pretrained::hf_tensors(m.model);
    std::vector<pretrained::PlannedTensor> plan;
    for (auto const& t : tensors) plan.push_back({t.name, t.shape});
    pretrained::SafetensorsWriter writer(temporary.path(), plan, 1 << 30);
    tamper(tensors);
    try {
        pretrained::write_parts(writer, tensors, values_of(m.store));
        writer.finish();
    } catch (cluster::JobError const& error) {
        return std::string(error.what()).substr(temporary.path().size());
    }
    return "nothing";
}

TEST(Export, RefusesAnElementThatIsMissingOrWrittenTwice) {
    EXPECT_EQ(fault("gpt2", [](auto&) {}), "nothing");
    EXPECT_EQ(fault("llama", [](auto& tensors) { tensors.erase(tensors.begin() + 3); }),
              ": model.layers.0.self_attn.v_proj.weight: 0 of its 192 elements were written; each "
              "must be, exactly once");
    EXPECT_EQ(fault("llama", [](auto& tensors) { tensors.push_back(tensors[3]); }),
              ": model.layers.0.self_attn.v_proj.weight: 384 of its 192 elements were written; "
              "each must be, exactly "
              "once");
    // In a fused tensor the value's part is missing, and the query's stands in its place, or over
    // the key's.
    auto const c_attn = [](auto& tensors) -> pretrained::HfTensor& {
        return *std::ranges::find(tensors, "transformer.h.1.attn.c_attn.weight",
                                  &pretrained::HfTensor::name);
    };
    EXPECT_EQ(fault("gpt2", [&](auto& tensors) { c_attn(tensors).parts.pop_back(); }),
              ": transformer.h.1.attn.c_attn.weight: 1152 of its 1728 elements were written; each "
              "must be, exactly once");
    EXPECT_EQ(fault("gpt2", [&](auto& tensors) { c_attn(tensors).parts[2].first = 24; }),
              ": transformer.h.1.attn.c_attn.weight: 1728 of its 1728 elements were written; each "
              "must be, exactly once");
    EXPECT_NE(fault("gpt2", [&](auto& tensors) { c_attn(tensors).parts[2].first = 49; })
                  .find("reaches outside"),
              std::string::npos);
}

TEST(Labels, AClassifierOfOtherLabelsStartsAnew) {
    for (auto const& [name, fresh] : std::vector<std::array<std::string, 2>>{
             {"bert", "new, from seed 1: classifier.weight, classifier.bias"},
             {"gpt2-classifier", "new, from seed 1: score.weight"}}) {
        GoldenModel m(name);
        m.model.labels = {"no", "yes", "maybe"};
        auto const notes = pretrained::load_weights(m.config.model, 1, m.model, m.store).notes();
        ASSERT_EQ(notes.size(), 2U);
        EXPECT_EQ(notes[0], fresh);
        EXPECT_EQ(notes[1].find("not used, heads of other tasks or classes: "), 0U) << notes[1];
    }
}

TEST(Labels, ALanguageModelBecomesAClassifierAndSaysSo) {
    TemporaryFolder const temporary;
    GoldenModel m("mistral");
    m.config.task = "classification";
    model::Config const model = inputs::read_model_config(m.config, {"no", "yes"});
    parallel::ParameterStore store(model::parameter_specs(model), {.gradients = false});
    EXPECT_EQ(
        pretrained::load_weights(m.config.model, m.config.seed, model, store).notes(),
        (std::vector<std::string>{"new, from seed 1: score.weight",
                                  "not used, heads of other tasks or classes: lm_head.weight"}));
    std::string const out = temporary.path() + "/out";
    pretrained::export_model(model, values_of(store), out,
                             {.dtypes = pretrained::stored_dtypes(m.model, golden("mistral")),
                              .files_from = {golden("mistral")}});
    auto changed = config_of(out), before = config_of(golden("mistral"));
    EXPECT_EQ(changed.at("architectures"),
              nlohmann::json::array({"MistralForSequenceClassification"}));
    EXPECT_EQ(changed.at("id2label"), (nlohmann::json{{"0", "no"}, {"1", "yes"}}));
    EXPECT_EQ(changed.at("label2id"), (nlohmann::json{{"no", 0}, {"yes", 1}}));
    EXPECT_EQ(changed.at("problem_type"), "single_label_classification");
    for (auto const* field : {"architectures", "id2label", "label2id", "problem_type"}) {
        changed.erase(field);
        before.erase(field);
    }
    EXPECT_EQ(changed, before) << "and nothing else";
}

TEST(Labels, RowsOfATrainedHeadAreMatchedByName) {
    GoldenModel const trained("bert");
    GoldenModel m("bert");
    m.model.labels = {"so-so", "bad", "good"};
    EXPECT_EQ(pretrained::load_weights(m.config.model, m.config.seed, m.model, m.store).notes(),
              std::vector<std::string>{
                  "the rows of the trained head are matched to the data's classes by name"});
    for (auto const* name : {"classifier.weight", "classifier.bias"}) {
        at::Tensor const before = trained.store.at(name).master().reshape({3, -1}),
                         now = m.store.at(name).master().reshape({3, -1});
        EXPECT_TRUE(at::equal(now, before.index_select(0, at::tensor({2, 0, 1})))) << name;
        EXPECT_FALSE(at::equal(now, before)) << name;
    }
}

TEST(Labels, AClassifierThatNamesNoClassesHasThoseOfTransformers) {
    model::Config model;
    model.source_json = R"({"id2label": {"0": "a", "1": "b", "2": "c"}})";
    EXPECT_EQ(pretrained::class_names_of(model), (std::vector<std::string>{"a", "b", "c"}));
    model.source_json = R"({"num_labels": 3})";
    EXPECT_EQ(pretrained::class_names_of(model),
              (std::vector<std::string>{"LABEL_0", "LABEL_1", "LABEL_2"}));
    model.source_json = "{}";
    EXPECT_EQ(pretrained::class_names_of(model), (std::vector<std::string>{"LABEL_0", "LABEL_1"}));
}

} // namespace
} // namespace trireme::framework
