// `trireme parity` as a user runs it.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "cluster/file.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tests/support/tiny_run.hpp"

namespace trireme::test {
namespace {

TEST(ParityCommand, WritesACertificateThatARunKeeps) {
    TemporaryFolder const folder;
    std::string const config = write_tiny_run(folder.path()),
                      file = folder.path() + "/certificate.json";
    auto const proved = run_command(trireme(2, {"parity", config, "--out", file}));
    ASSERT_EQ(proved.exit_code, 0) << proved.output;
    EXPECT_NE(proved.output.find("parity: passed"), std::string::npos);
    auto json = nlohmann::json::parse(cluster::read_file(file));
    EXPECT_EQ(json["verdict"], "passed");
    EXPECT_GE(json["layouts"].size(), 12U);
    for (auto const& layout : json["layouts"]) {
        EXPECT_EQ(layout["ranks"], 2);
        EXPECT_LE(layout["gradient_error"], layout["gradient_bound"]) << layout;
        EXPECT_GT(layout["gradient_error"], 0.0) << "float32 is not float64: " << layout;
    }
    std::vector<std::string> const train{"train", config,  "--parity",
                                         file,    "--set", "train.steps=1"};
    auto const trained = run_command(trireme(1, train));
    ASSERT_EQ(trained.exit_code, 0) << trained.output;
    EXPECT_EQ(nlohmann::json::parse(cluster::read_file(folder.path() + "/run/parity.json")), json);
    json["verdict"] = "failed";
    cluster::write_file(file, json.dump());
    auto const refused = run_command(trireme(1, train));
    EXPECT_EQ(refused.exit_code, 2);
    EXPECT_NE(refused.output.find("verdict: \"failed\": legal for this run: passed"),
              std::string::npos)
        << refused.output;
}

TEST(ParityCommand, RefusesWhatItCannotProve) {
    TemporaryFolder const folder;
    std::string const config = write_tiny_run(folder.path());
    EXPECT_EQ(run_command(trireme(0, {"parity", config, "--set", "numerics.mode=exact"})).exit_code,
              2);
    EXPECT_EQ(run_command(trireme(0, {"parity", config, "--set", "model.path=" + folder.path()}))
                  .exit_code,
              2);
    EXPECT_EQ(run_command(trireme(0, {"parity"})).exit_code, 2);
}

} // namespace
} // namespace trireme::test
