// `trireme verify` as a user runs it: numbers against transformers (tests/golden), mistakes,
// fingerprints.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "cluster/thread_communicator.hpp"
#include "data/hdf5.hpp"
#include "framework/jobs/verify.hpp"
#include "framework/pretrained/safetensors_values.hpp"
#include "tests/framework/pretrained/golden_model.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tests/support/tiny_run.hpp"

namespace trireme::test {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

Json expected(std::string const& model) {
    return Json::parse(cluster::read_file(golden(model) + "/expected.json"));
}

/// The token file of a golden model.
Json tokens_of(std::string const& model) {
    Json const e = expected(model);
    return {{"input_ids", e["ids"]}, {"labels", e["labels"].empty() ? e["ids"] : e["labels"]}};
}

/// One file that verify wrote.
class Numerics {
  public:
    explicit Numerics(std::string path) : path_(std::move(path)), file_(data::open_h5(path_)) {}

    template <typename T = float>
    std::vector<T> read(std::string const& name, hid_t type = H5T_IEEE_F32LE) const {
        auto const extent = data::extent_of(file_, path_, name, type);
        std::vector<T> values(static_cast<std::size_t>(extent.count));
        std::ifstream bytes(path_, std::ios::binary);
        bytes.seekg(extent.offset);
        bytes.read(reinterpret_cast<char*>(values.data()),
                   static_cast<std::streamsize>(values.size() * sizeof(T)));
        EXPECT_TRUE(bytes.good()) << name;
        return values;
    }
    std::vector<hsize_t> shape(std::string const& name) const {
        data::H5 const set(H5Dopen2(file_, name.c_str(), H5P_DEFAULT), H5Dclose, path_, "open");
        data::H5 const space(H5Dget_space(set), H5Sclose, path_, "space");
        std::vector<hsize_t> shape(static_cast<std::size_t>(H5Sget_simple_extent_ndims(space)));
        H5Sget_simple_extent_dims(space, shape.data(), nullptr);
        return shape;
    }
    double loss() const { return read<double>("loss", H5T_IEEE_F64LE).at(0); }
    bool has(std::string const& name) const { return data::has_object(file_, name); }
    hsize_t gradients() const {
        data::H5 const group(H5Gopen2(file_, "grad", H5P_DEFAULT), H5Gclose, path_, "open");
        H5G_info_t info{};
        H5Gget_info(group, &info);
        return info.nlinks;
    }

  private:
    std::string path_;
    data::H5 file_;
};

class Verify : public testing::TestWithParam<char const*> {
  protected:
    std::string path(std::string const& name) const { return folder_.path() + "/" + name; }
    Outcome verify(int ranks, std::string const& model, Json const& tokens,
                   std::string const& output, std::vector<std::string> const& set = {}) const {
        cluster::write_file(path("tokens.json"),
                            tokens.is_string() ? tokens.get<std::string>() : tokens.dump());
        std::vector<std::string> arguments{"verify", model,       "--tokens", path("tokens.json"),
                                           "--out",  path(output)};
        for (auto const& assignment : set) arguments.insert(arguments.end(), {"--set", assignment});
        return run_command(trireme(ranks, arguments));
    }
    /// Returns what a run that must succeed wrote.
    Numerics numerics(int ranks, std::string const& model, Json const& tokens,
                      std::string const& output, std::vector<std::string> const& set = {}) const {
        Outcome const outcome = verify(ranks, model, tokens, output, set);
        EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
        return Numerics(path(output));
    }

    TemporaryFolder folder_;
};

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

TEST_P(Verify, EqualsTransformersAtOneTwoAndThreeRanks) {
    std::string const model = GetParam();
    std::vector<std::string> const small_micro_batches{"batch.tokens_per_micro_batch=9"};
    for (int const ranks : {1, 3}) {
        SCOPED_TRACE(ranks);
        expect_equal(numerics(ranks, golden(model), tokens_of(model),
                              fmt::format("fp32-{}.h5", ranks), small_micro_batches),
                     model, false);
    }
    expect_equal(numerics(2, golden(model), tokens_of(model), "fp64.h5", {"numerics.compute=fp64"}),
                 model, true);
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

/// The message of a job that is refused before it reads weights.
std::string mistake(framework::jobs::VerifyJob const& job) {
    try {
        framework::jobs::write_numerics(job, *cluster::make_thread_world(1, {})[0]);
    } catch (cluster::InputError const& error) {
        return error.what();
    }
    return "no error";
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

TEST_F(VerifyOne, MistakesAreNamedOnOneLineAndNothingIsWritten) {
    struct Case {
        std::string ids, labels, part, model = "llama";
    };
    std::string const row = "[[5, 9, 2]]",
                      long_row = Json(std::vector(1, std::vector<int>(17, 1))).dump();
    for (auto const& [ids, labels, part, model] : std::vector<Case>{
             {"[[1]", row, "not JSON"},
             {row, "7", "labels: 7: legal: a list"},
             {row, R"([[5, 9, 2]], "attention_mask": [[1, 1, 1]])", "attention_mask: unknown key"},
             {"[]", "[]", "input_ids: []: legal: a list, not empty"},
             {row, "[[5, 9, 2], [5, 9, 2]]", "labels: 2 entries: legal: 1"},
             {row, "[[5, 9]]", "labels[0]: 2 labels: legal: 3"},
             {"[[5, 9, 2], [1]]", "[[5, 9, 2], 1]", "labels[1]: 1: legal: a list"},
             {"[[5, 9, 2], [1]]", "[1, [1]]", "labels[1]: [1]: legal: a number", "bert"},
             {"[[5, 1.5]]", "[[5, 1]]", "input_ids[0][1]: 1.5: legal: a whole number"},
             {"[5, 1]", "[[5, 1], [1]]", "input_ids[0]: 5: legal: a list"},
             {"[[18446744073709551615]]", "[[1]]",
              "input_ids[0][0]: 18446744073709551615: legal: a whole number"},
             {"[[5, 9, 2], [1, 97]]", "[[5, 9, 2], [1, 2]]", "input_ids[1][1]: 97: legal: 0 to 96"},
             {row, "[[5, -1, 2]]", "labels[0][1]: -1: legal: -100 (ignored), 0 to 96"},
             {row, "[3]", "labels[0]: 3: legal: -100 (ignored), 0 to 2", "bert"},
             {long_row, long_row, "input_ids[0]: 17 tokens: legal: at most the 16"},
             {"[[5, 9, 2], []]", "[[5, 9, 2], []]", "input_ids[1]: []: legal: at least one token"},
             {row, "[[5, -100, -100]]", "none is trained"},
             {row, "[-100]", "none is trained", "bert"},
             {row, "[1]", "no trained classifier"},
             {row, row, "is a classifier; legal: one label per sequence", "bert"}}) {
        cluster::write_file(path("tokens.json"),
                            R"({"input_ids": )" + ids + R"(, "labels": )" + labels + "}");
        std::string const message =
            mistake({golden(model), path("tokens.json"), path("bad.h5"), {}});
        EXPECT_NE(message.find(part), std::string::npos) << message << "\nexpected: " << part;
        EXPECT_EQ(message.find('\n'), std::string::npos) << message;
        EXPECT_FALSE(fs::exists(path("bad.h5")) || fs::exists(path("bad.h5.partial")));
    }
    for (auto const& [text, part] : {std::pair{"[1]", "not a JSON object"},
                                     std::pair{R"({"labels": [[1]]})", "input_ids: missing"}}) {
        Outcome const outcome = verify(0, golden("llama"), text, "bad.h5");
        EXPECT_EQ(outcome.exit_code, 2);
        EXPECT_NE(outcome.output.find(part), std::string::npos) << outcome.output;
        EXPECT_EQ(std::ranges::count(outcome.output, '\n'), 1) << outcome.output;
    }
}

TEST_F(VerifyOne, RefusesOutputsAndSettingsItCannotHonour) {
    cluster::write_file(path("there.h5"), "mine");
    cluster::write_file(path("tokens.json"), tokens_of("llama").dump());
    auto const says = [&](std::string const& output, std::vector<std::string> const& set,
                          std::string const& part) {
        std::string const message =
            mistake({golden("llama"), path("tokens.json"), path(output), set});
        EXPECT_NE(message.find(part), std::string::npos) << message << "\nexpected: " << part;
    };
    says("there.h5", {}, "there.h5: exists already");
    EXPECT_EQ(cluster::read_file(path("there.h5")), "mine");
    EXPECT_EQ(verify(2, golden("llama"), tokens_of("llama"), "there.h5").exit_code, 2)
        << "rank 0 speaks for all";
    says("no/folder.h5", {}, "folder.h5: No such file or directory; legal:");
    says("new.h5", {"optimizer.clip=1"},
         "optimizer.clip=1: legal for trireme verify: KEY=VALUE with parallel., numerics., "
         "batch.tokens_per_micro_batch");
    says("new.h5", {"parallel.context=2"}, "parallel.context: 2");
    says("new.h5", {"numerics.compute=fp8"}, "numerics.compute: fp8: legal: fp64, fp32, bf16");
    says("new.h5", {"parallel.replicate=3"}, "1 rank;");
    EXPECT_FALSE(fs::exists(path("new.h5")) || fs::exists(path("new.h5.partial")));
    Outcome const lonely =
        run_command(trireme(0, {"verify", golden("llama"), "--out", path("new.h5")}));
    EXPECT_EQ(lonely.exit_code, 2);
    EXPECT_NE(lonely.output.find("go together"), std::string::npos) << lonely.output;
}

TEST_F(VerifyOne, AnEncoderWithoutATrainedClassifierIsRefused) {
    std::string const bare = path("bare"), half = path("half");
    fs::copy(golden("bert"), bare);
    Json config = Json::parse(cluster::read_file(bare + "/config.json"));
    config["architectures"] = {"BertModel"};
    config.erase("id2label");
    config.erase("label2id");
    cluster::write_file(bare + "/config.json", config.dump());
    Outcome const encoder = verify(0, bare, tokens_of("bert"), "bare.h5");
    EXPECT_EQ(encoder.exit_code, 2);
    EXPECT_NE(
        encoder.output.find(
            "BertModel: no trained classifier: what is missing is a ...ForSequenceClassification "
            "class, id2label and the tensor classifier.weight"),
        std::string::npos)
        << encoder.output;
    fs::copy(golden("bert"), half); // config.json claims a classifier, the weights have none
    std::string const weights = half + "/model.safetensors";
    std::string bytes = cluster::read_file(weights);
    for (auto const& [ours, other] : {std::pair{"classifier.weight", "cls.predictions.x"},
                                      std::pair{"classifier.bias", "lm_head.another"}})
        bytes.replace(bytes.find(ours), std::strlen(ours), other);
    cluster::write_file(weights, bytes);
    Outcome const random = verify(0, half, tokens_of("bert"), "half.h5");
    EXPECT_EQ(random.exit_code, 2);
    EXPECT_NE(random.output.find("classifier.weight"), std::string::npos) << random.output;
    EXPECT_FALSE(fs::exists(path("half.h5")) || fs::exists(path("half.h5.partial")));
}

} // namespace
} // namespace trireme::test
