// Compares what the log says of a run's sensitivity to rounding with what two layouts of that run
// do.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cluster/file.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tests/support/tiny_run.hpp"

namespace trireme::test {
namespace {

using nlohmann::json;

class Sensitivity : public testing::Test {
  protected:
    Sensitivity() : yaml_(write_tiny_run(folder_.path())) {}
    std::string run() const { return folder_.path() + "/run"; }
    void train(int ranks, std::vector<std::string> const& set) {
        std::filesystem::remove_all(run());
        std::vector<std::string> arguments{"train", yaml_, "--set", "numerics.mode=fast"};
        for (auto const& assignment : set) arguments.insert(arguments.end(), {"--set", assignment});
        Outcome const outcome = run_command(trireme(ranks, arguments));
        ASSERT_EQ(outcome.exit_code, 0) << outcome.output;
    }
    std::vector<json> events(std::string const& kind) const {
        std::vector<json> found;
        for (auto const& line : metric_lines(run()))
            if (json event = json::parse(line); event.at("kind") == kind)
                found.push_back(std::move(event));
        return found;
    }
    bool told() const {
        return cluster::read_file(run() + "/log.txt").find("this run is sensitive to rounding") !=
               std::string::npos;
    }
    bool parts() const {
        auto const all = events("sensitivity");
        return std::ranges::any_of(all,
                                   [](json const& event) { return event.at("parts").get<bool>(); });
    }
    /// Compares the weights of a run that rehearses with those of one that does not.
    void expect_everything_put_back(int ranks, std::vector<std::string> const& layout) {
        std::string hashes[2];
        for (int on : {0, 1}) {
            auto set = layout;
            set.emplace_back(on ? "guard.sensitivity=always" : "guard.sensitivity=off");
            train(ranks, set);
            EXPECT_EQ(events("sensitivity").size(), on ? 3U : 0U);
            hashes[on] = final_hash(run());
        }
        EXPECT_EQ(hashes[0], hashes[1]) << testing::PrintToString(layout);
        EXPECT_EQ(hashes[0].size(), 64U);
    }
    /// How far the losses of one rank and of two part at most.
    double parting(std::string const& rate) {
        std::vector<double> losses[2];
        for (int ranks : {2, 1}) {
            train(ranks, {"guard.sensitivity=always", "optimizer.learning_rate=" + rate});
            for (auto const& event : events("train")) losses[ranks - 1].push_back(event.at("loss"));
        }
        double most = 0;
        for (std::size_t i = 0; i < losses[0].size(); ++i)
            most = std::max(most, std::abs(losses[0][i] - losses[1][i]));
        return most;
    }

    TemporaryFolder folder_;
    std::string yaml_;
};

TEST_F(Sensitivity, ARunWhoseLayoutsPartIsTold) {
    EXPECT_GT(parting("1e-1"), 1e-3) << "this rate shows nothing";
    EXPECT_EQ(events("sensitivity").size(), 3U) << "after the warm-up, 40 % and 70 %";
    EXPECT_TRUE(parts());
    EXPECT_TRUE(told());
}

TEST_F(Sensitivity, AStableRunIsNot) {
    EXPECT_LT(parting("3e-3"), 1e-5);
    EXPECT_EQ(events("sensitivity").size(), 3U) << "it was measured";
    EXPECT_FALSE(parts());
    EXPECT_FALSE(told());
}

/// A rehearsal leaves no trace in weights and moments, wherever they lie.
TEST_F(Sensitivity, EverythingIsPutBack) {
    expect_everything_put_back(2, {"parallel.pipeline=2", "parallel.offload=optimizer"});
}

TEST_F(Sensitivity, LongEverythingIsPutBackInOtherLayouts) {
    expect_everything_put_back(0, {});
    expect_everything_put_back(2, {"parallel.shard=2", "parallel.zero=3"});
    expect_everything_put_back(4, {"parallel.tensor=1", "parallel.pipeline=2", "parallel.shard=2",
                                   "parallel.zero=2", "numerics.compute=bf16"});
}

TEST_F(Sensitivity, IsNotMeasuredWhereLayoutsCannotPart) {
    train(1, {"numerics.mode=bitwise", "guard.sensitivity=always"});
    EXPECT_TRUE(events("sensitivity").empty());
    train(1, {"numerics.compute=fp64", "guard.sensitivity=always"});
    EXPECT_TRUE(events("sensitivity").empty());
}

/// Sixteen steps of 40 are more than 2 %, and with a second each more than five seconds.
TEST_F(Sensitivity, CostsLittleUnlessAskedFor) {
    setenv("TRIREME_FAULT", "step/slow:0:3:sleep=1", 1);
    train(0, {"train.steps=8"});
    unsetenv("TRIREME_FAULT");
    EXPECT_TRUE(events("sensitivity").empty());
    train(0, {"train.steps=8", "guard.sensitivity=always"});
    EXPECT_EQ(events("sensitivity").size(), 2U) << "steps 4 and 6";
}

} // namespace
} // namespace trireme::test
