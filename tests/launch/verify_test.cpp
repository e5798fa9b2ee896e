// `trireme verify` as a user runs it: numbers against transformers (tests/golden).
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "cluster/file.hpp"
#include "cluster/thread_communicator.hpp"
#include "framework/jobs/verify.hpp"
#include "framework/pretrained/safetensors_values.hpp"
#include "tests/framework/pretrained/golden_model.hpp"
#include "tests/launch/verify_scene.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tests/support/tiny_run.hpp"

namespace trireme::test {
namespace {

double norm(std::vector<float> const& values) {
    double sum = 0;
    for (float const x : values) sum += static_cast<double>(x) * static_cast<double>(x);
    return std::sqrt(sum);
}

/// Reference gradients by Hugging Face name.
std::map<std::string, std::vector<float>> reference_gradients(std::string const& model) {
    std::map<std::string, std::vector<float>> gradients;
    for (auto const& [name, entry] :
         framework::pretrained::read_safetensors_header(golden(model) + "/gradients.safetensors")) {
        auto const values = framework::pretrained::read_tensor(name, entry).contiguous();
        gradients[name].assign(values.const_data_ptr<float>(),
                               values.const_data_ptr<float>() + values.numel());
    }
    return gradients;
}

void expect_gradients(Numerics const& ours, std::string const& model, bool exact) {
    auto const references = reference_gradients(model);
    EXPECT_EQ(ours.gradients(), references.size());
    double global = 0;
    for (auto const& [name, reference] : references) global = std::hypot(global, norm(reference));
    for (auto const& [name, reference] : references) {
        double const size = norm(reference), floor = 1e-6 * global;
        // A gradient that is zero in truth is noise in float32: it is judged in float64 alone.
        if (size < floor && !exact) continue;
        auto difference = ours.read("grad/" + name);
        ASSERT_EQ(difference.size(), reference.size()) << name;
        for (std::size_t i = 0; i < difference.size(); ++i) difference[i] -= reference[i];
        // The references are stored in float32, and transformers' tables of rotary positions are
        // float32 in any case.
        EXPECT_LT(norm(difference) / std::max(size, floor), exact ? 2e-6 : 1e-4) << name;
    }
}

void expect_equal(Numerics const& ours, std::string const& model, bool exact) {
    EXPECT_NEAR(ours.loss(), expected(model)["loss"].get<double>(), 1e-6);
    auto const logits = ours.read("logits");
    auto const reference = framework::pretrained::read_tensor(
        "logits",
        framework::pretrained::read_safetensors_header(golden(model) + "/logits.safetensors")
            .at("logits"));
    ASSERT_EQ(static_cast<std::int64_t>(logits.size()), reference.numel());
    for (std::size_t i = 0; i < logits.size(); ++i)
        ASSERT_NEAR(logits[i], reference.const_data_ptr<float>()[i], 1e-5) << i;
    expect_gradients(ours, model, exact);
}

/// Ranks are threads of this process here: starting the command 200 times takes minutes. What the
/// command adds is tested below.
TEST_P(Verify, EqualsTransformersAtOneTwoAndThreeRanks) {
    std::string const model = GetParam();
    cluster::write_file(path("tokens.json"), tokens_of(model).dump());
    auto const written = [&](int ranks, std::string const& name, std::string const& set) {
        framework::jobs::VerifyJob const job{.model = golden(model),
                                             .tokens = path("tokens.json"),
                                             .output = path(name),
                                             .set = {set}};
        cluster::run_as_threads(ranks, [&](cluster::Communicator& world) {
            framework::jobs::write_numerics(job, world);
        });
        return Numerics(job.output);
    };
    for (int const ranks : {1, 3}) {
        SCOPED_TRACE(ranks);
        expect_equal(
            written(ranks, fmt::format("fp32-{}.h5", ranks), "batch.tokens_per_micro_batch=9"),
            model, false);
    }
    expect_equal(written(2, "fp64.h5", "numerics.compute=fp64"), model, true);
}

INSTANTIATE_TEST_SUITE_P(Models, Verify, testing::ValuesIn(kGoldenModels), test_name);

using VerifyOne = Verify;

TEST_F(VerifyOne, EqualsTransformersInEveryLayout) {
    for (char const* model : {"gpt2", "llama-tied-biased"})
        for (std::vector<std::string> set : {std::vector<std::string>{"parallel.replicate=2"},
                                             {"parallel.shard=2", "parallel.zero=3"},
                                             {"parallel.pipeline=2"},
                                             {"parallel.tensor=2"}}) {
            std::string const output = fmt::format("{}-{}.h5", model, set.back());
            SCOPED_TRACE(output);
            set.push_back("batch.tokens_per_micro_batch=9");
            expect_equal(numerics(2, golden(model), tokens_of(model), output, set), model, false);
        }
}

TEST_F(VerifyOne, BitwiseModeWritesTheSameFileOnAnyNumberOfRanks) {
    std::vector<std::string> const set{"numerics.mode=bitwise", "numerics.threads=1",
                                       "batch.tokens_per_micro_batch=8"};
    std::string first;
    for (int const ranks : {1, 2, 3}) {
        std::string const output = "bitwise" + std::to_string(ranks) + ".h5";
        numerics(ranks, golden("llama"), tokens_of("llama"), output, set);
        std::string const bytes = cluster::read_file(path(output));
        if (first.empty()) first = bytes;
        EXPECT_TRUE(bytes == first) << ranks << " ranks";
    }
}

TEST_F(VerifyOne, LabelsAreUnshiftedAndIgnoredOnesDoNotCount) {
    Json const tokens = Json::parse(R"({"input_ids": [[5, 9, 2], [7, 3, 11, 30, 4]],
                                        "labels": [[96, -100, -100], [-100, -100, -100, 17, -100]]})");
    // One trained label on three ranks, two of which have nothing to do.
    Numerics const ours = numerics(3, golden("llama"), tokens, "one.h5");
    EXPECT_EQ(ours.shape("logits"), (std::vector<hsize_t>{8, 97}));
    EXPECT_EQ(ours.shape("loss"), std::vector<hsize_t>{});
    EXPECT_EQ(ours.shape("grad/model.layers.0.mlp.down_proj.weight"),
              (std::vector<hsize_t>{24, 40}));
    EXPECT_EQ(ours.read<std::int64_t>("offsets", H5T_STD_I64LE),
              (std::vector<std::int64_t>{0, 3, 8}));
    auto const logits = ours.read("logits");
    std::size_t const before = 3 + 2; // token 2 of the second sequence predicts token 3
    double sum = 0;
    for (std::size_t v = 0; v < 97; ++v)
        sum += std::exp(static_cast<double>(logits[before * 97 + v]));
    EXPECT_NEAR(ours.loss(), std::log(sum) - static_cast<double>(logits[before * 97 + 17]), 1e-6);
    Numerics const alone = numerics(
        1, golden("llama"),
        Json::parse(R"({"input_ids": [[7, 3, 11, 30, 4]], "labels": [[0, -100, -100, 17, -100]]})"),
        "alone.h5");
    EXPECT_NEAR(alone.loss(), ours.loss(), 1e-6) << "no sequence sees another";
    EXPECT_NEAR(norm(alone.read("grad/lm_head.weight")), norm(ours.read("grad/lm_head.weight")),
                1e-5);
}

} // namespace
} // namespace trireme::test
