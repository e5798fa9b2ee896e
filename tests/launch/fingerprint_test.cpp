// An export that carries what it computes, and is asked for it again.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "cluster/file.hpp"
#include "framework/pretrained/safetensors.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tests/support/tiny_run.hpp"

namespace trireme::test {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

class Fingerprint : public testing::Test {
  protected:
    void SetUp() override {
        std::string const yaml = write_tiny_run(folder_.path());
        Outcome const trained = run_command(trireme(0, {"train", yaml, "--set", "train.steps=2"}));
        ASSERT_EQ(trained.exit_code, 0) << trained.output;
        Outcome const exported = run_command(
            trireme(0, {"export", "--run", folder_.path() + "/run", "--output", model()}));
        ASSERT_EQ(exported.exit_code, 0) << exported.output;
    }
    std::string model() const { return folder_.path() + "/exported"; }
    Outcome verify(int ranks = 0) const { return run_command(trireme(ranks, {"verify", model()})); }
    /// One line that names each of `parts`, and exit code 1.
    void expect_difference(std::vector<std::string> const& parts) const {
        Outcome const outcome = verify();
        EXPECT_EQ(outcome.exit_code, 1) << outcome.output;
        auto const line = outcome.output.find("trireme: " + model() + ": not as exported: ");
        ASSERT_NE(line, std::string::npos) << outcome.output;
        for (auto const& part : parts)
            EXPECT_NE(outcome.output.find(part, line), std::string::npos) << outcome.output;
    }
    TemporaryFolder folder_;
};

TEST_F(Fingerprint, AnExportIsVerifiedOnAnyNumberOfRanks) {
    for (int const ranks : {0, 2}) {
        Outcome const outcome = verify(ranks);
        EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
        for (char const* part : {"model.safetensors: sha256 ",
                                 "logits (515 numbers of 5 sequences): largest difference ",
                                 "loss: largest difference ", "verified: "})
            EXPECT_NE(outcome.output.find(part), std::string::npos) << outcome.output;
    }
}

TEST_F(Fingerprint, OneFlippedBitOfAWeightIsNamed) {
    auto const entry =
        framework::pretrained::find_tensors(model()).at("model.layers.2.mlp.up_proj.weight");
    std::fstream file(entry.file, std::ios::binary | std::ios::in | std::ios::out);
    // the lowest bit of a mantissa: nothing that logits would show
    file.seekg(entry.offset + 4 * 100);
    char byte = 0;
    file.get(byte);
    file.seekp(entry.offset + 4 * 100);
    file.put(static_cast<char>(byte ^ 1));
    file.close();
    expect_difference({"model.safetensors is not the file that was exported: tensor "
                       "model.layers.2.mlp.up_proj.weight "
                       "differs\n"});
}

TEST_F(Fingerprint, OtherArithmeticIsNamed) {
    std::string const path = model() + "/config.json";
    Json config = Json::parse(cluster::read_file(path));
    config["rms_norm_eps"] = 1e-2;
    cluster::write_file(path, config.dump());
    expect_difference(
        {"logits (515 numbers of 5 sequences): largest difference ", "loss: largest difference "});
}

TEST_F(Fingerprint, AMissingOrForeignFingerprintIsBadInput) {
    std::string const path = model() + "/trireme_fingerprint.json";
    auto const says = [&](std::string const& part) {
        Outcome const outcome = verify();
        EXPECT_EQ(outcome.exit_code, 2) << outcome.output;
        EXPECT_NE(outcome.output.find(part), std::string::npos) << outcome.output;
        EXPECT_EQ(std::ranges::count(outcome.output, '\n'), 1) << outcome.output;
    };
    Json json = Json::parse(cluster::read_file(path));
    json.erase("files");
    cluster::write_file(path, json.dump());
    says("not a fingerprint of `trireme export`");
    fs::remove(path);
    says("trireme_fingerprint.json: missing: `trireme export` writes it");
}

} // namespace
} // namespace trireme::test
