// Mistakes of `trireme verify`: what is refused, on one line, and that nothing is written.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "cluster/thread_communicator.hpp"
#include "data/hdf5.hpp"
#include "framework/jobs/verify.hpp"
#include "tests/framework/pretrained/golden_files.hpp"
#include "tests/launch/verify_scene.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tests/support/tiny_run.hpp"

namespace trireme::test {
namespace {

namespace fs = std::filesystem;
using VerifyOne = Verify;

/// The message of a job that is refused before it reads weights.
std::string mistake(framework::jobs::VerifyJob const& job) {
    try {
        framework::jobs::write_numerics(job, *cluster::make_thread_world(1, {})[0]);
    } catch (cluster::InputError const& error) {
        return error.what();
    }
    return "no error";
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
