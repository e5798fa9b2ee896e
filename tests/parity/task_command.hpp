// Helps tests that take a task through the commands, from a configuration to predictions.
#pragma once
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "cluster/file.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tests/support/tiny_run.hpp"

namespace trireme::test {

/// A folder with run.yaml, the data and the export "model", which the test writes.
class TaskCommand {
  protected:
    std::string path(std::string const& name) const { return folder_.path() + "/" + name; }

    /// Trains run.yaml into the folder `name`. Returns the SHA-256 of the weights. `said`: must
    /// stand in what the run says.
    std::string train(int ranks, std::vector<std::string> const& set, std::string const& name,
                      std::string const& said = "") const {
        std::vector<std::string> words{"train", path("run.yaml"), "--set", "run=" + path(name)};
        for (auto const& value : set) words.insert(words.end(), {"--set", value});
        Outcome const result = run_command(trireme(ranks, words));
        EXPECT_EQ(result.exit_code, 0) << result.output;
        EXPECT_NE(result.output.find(said), std::string::npos) << result.output;
        return final_hash(path(name));
    }
    /// Evaluates the export on the validation split. Returns the metrics. `more`: other options.
    nlohmann::json evaluate(int ranks, std::vector<std::string> const& set,
                            std::string const& predictions,
                            std::vector<std::string> const& more = {}) const {
        std::vector<std::string> words{
            "evaluate",   "--model",       path("model"),    "--data",
            path("data"), "--split",       "validation",     "--tokens-per-micro-batch",
            "50",         "--predictions", path(predictions)};
        for (auto const& value : set) words.insert(words.end(), {"--set", value});
        words.insert(words.end(), more.begin(), more.end());
        Outcome const result = run_command(trireme(ranks, words));
        EXPECT_EQ(result.exit_code, 0) << result.output;
        auto const at = result.output.find('{');
        return at == std::string::npos ? nlohmann::json()
                                       : nlohmann::json::parse(result.output.substr(at));
    }
    /// Returns the lines of a file of predictions.
    std::vector<nlohmann::json> lines_of(std::string const& predictions) const {
        std::istringstream text(cluster::read_file(path(predictions)));
        std::vector<nlohmann::json> lines;
        for (std::string line; std::getline(text, line);)
            lines.push_back(nlohmann::json::parse(line));
        return lines;
    }

    TemporaryFolder folder_;
};

} // namespace trireme::test
