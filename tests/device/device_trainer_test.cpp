// `Trainer` as it is on the stand-in for a GPU: it reads what a step found when it has queued the
// next, and comes to the same as on the CPU, where it reads at once, whatever it finds.
#include <gmock/gmock.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "cluster/error.hpp"
#include "cluster/fault.hpp"
#include "cluster/thread_communicator.hpp"
#include "framework/config/config.hpp"
#include "framework/train/trainer.hpp"
#include "tests/cluster/nccl_on_standin.hpp"
#include "tests/device/tensors_on_standin.hpp"
#include "tests/support/composed_path.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tests/support/tiny_run.hpp"

namespace trireme::test {
namespace {

using cluster::Communicator;
using nlohmann::json;

constexpr int kSteps = 12;

/// Holds what a run left behind: its events without times, and its end.
struct Left {
    std::vector<std::string> events;
    std::string weights, error;
};

Left left_by(std::string const& run, std::string const& error) {
    Left left{{}, final_hash(run), error};
    for (auto const& line : metric_lines(run)) {
        json event = json::parse(line);
        if (event.at("kind") == "performance") continue; // times, which a GPU's host does not have
        for (auto const* varies :
             {"time", "seconds", "seconds_left", "tokens_per_second", "trained_tokens_per_second",
              "mean_tokens_per_second", "mean_trained_tokens_per_second", "mean_samples_per_second",
              "peak_memory", "stalled", "host"})
            event.erase(varies);
        left.events.push_back(event.dump());
    }
    return left;
}

/// Hides from the host, from the end of step 1 to that of the last but one, all that a step queues,
/// and no call of it blocks: a host that waited would run into its deadline.
class BlindInEachStep : public cluster::CallObserver {
  public:
    void on_start(std::string_view, cluster::CallRecord const& call) override {
        if (call.name != "step/orders") return; // between two steps
        if (blind_) {
            EXPECT_EQ(standin::host_calls().blocking, blocking_) << "step " << steps_ + 1;
            ++blind_steps;
        }
        blind_.reset();
        blocking_ = standin::host_calls().blocking;
        if (++steps_ < kSteps - 1) blind_.emplace();
    }
    void on_finish(std::string_view, std::uint64_t) override {}
    int blind_steps = 0;

  private:
    int steps_ = 0;
    std::size_t blocking_ = 0;
    std::optional<standin::BlindHost> blind_;
};

class DeviceTrainer : public testing::Test {
  protected:
    DeviceTrainer() { file_ = write_tiny_run(folder_.path()); }

    Left train(std::string const& name, std::vector<std::string> const& changes,
               Communicator& world, std::string const& fault) {
        std::vector<std::string> all{"train.steps=12", "checkpoint.async=false"};
        all.insert(all.end(), changes.begin(), changes.end());
        cluster::set_faults(fault);
        auto config = framework::config::read_config(file_, all);
        config.run = folder_.path() + "/" + name;
        std::string error;
        try {
            framework::train::Trainer(config, world).run();
        } catch (cluster::JobError const& thrown) {
            error = thrown.what();
        }
        return left_by(config.run, error);
    }
    Left on_cpu(std::vector<std::string> const& changes, std::string const& fault) {
        auto const world = cluster::make_thread_world(1, {});
        return train("cpu", changes, *world[0], fault);
    }
    Left on_standin(std::vector<std::string> const& changes, std::string const& fault) {
        Left left;
        StandinOutcome const outcome = run_on_standin(1, {.lazy = true}, [&](Communicator& world) {
            cluster::Stream const compute;
            TensorsOnStandin const tensors(compute.handle());
            left = train("standin", changes, world, fault);
        });
        EXPECT_THAT(outcome.violations, testing::IsEmpty());
        return left;
    }
    /// Both leave the same; returns it.
    Left expect_the_same(std::vector<std::string> const& changes, std::string const& fault) {
        ComposedPath const path;
        Left const cpu = on_cpu(changes, fault), standin = on_standin(changes, fault);
        EXPECT_EQ(standin.events, cpu.events);
        EXPECT_EQ(standin.weights, cpu.weights);
        EXPECT_EQ(standin.error, cpu.error);
        return cpu;
    }
    static std::size_t count(Left const& left, std::string const& kind) {
        return static_cast<std::size_t>(
            std::ranges::count_if(left.events, [&](std::string const& event) {
                return json::parse(event).at("kind") == kind;
            }));
    }

    TemporaryFolder folder_;
    std::string file_;
};

TEST_F(DeviceTrainer, AGoodRun) {
    Left const left = expect_the_same({}, "");
    EXPECT_EQ(count(left, "train"), std::size_t{kSteps});
    EXPECT_NE(left.weights, "");
}

TEST_F(DeviceTrainer, AStepIsLeftOut) {
    Left const left = expect_the_same({"guard.non_finite=skip"}, "step/gradient:*:5:nan");
    EXPECT_EQ(count(left, "bad step"), 1U);
}

TEST_F(DeviceTrainer, AStepThatIsReadAtOnceIsLeftOut) { // before a checkpoint
    Left const left = expect_the_same({"guard.non_finite=skip"}, "step/gradient:*:7:nan");
    EXPECT_EQ(count(left, "bad step"), 1U);
}

TEST_F(DeviceTrainer, ASpikeIsLeftOut) {
    Left const left = expect_the_same({"train.steps=30", "guard.spike=50", "guard.non_finite=skip"},
                                      "step/loss:*:25:nan");
    EXPECT_EQ(count(left, "bad step"), 1U);
}

TEST_F(DeviceTrainer, ARunGoesBack) {
    Left const left = expect_the_same({"guard.non_finite=rollback"}, "step/gradient:*:9:nan");
    EXPECT_EQ(count(left, "rollback"), 1U);
    EXPECT_EQ(count(left, "left out"), 1U);
}

TEST_F(DeviceTrainer, ARunStops) {
    Left const left = expect_the_same({}, "step/gradient:*:5:nan");
    EXPECT_THAT(left.error, testing::HasSubstr("step 5: loss"));
}

TEST_F(DeviceTrainer, AStepWaitsForNothingOfItself) {
    ComposedPath const path;
    for (int ranks : {1, 2}) {
        std::filesystem::remove_all(folder_.path() + "/standin");
        StandinOutcome const outcome =
            run_on_standin(ranks, {.lazy = true}, [&](Communicator& world) {
                cluster::Stream const compute;
                TensorsOnStandin const tensors(compute.handle());
                auto const observer = std::make_shared<BlindInEachStep>();
                world.set_observer(observer);
                EXPECT_EQ(train("standin", {"evaluation.every=12", "checkpoint.every=0"}, world, "")
                              .error,
                          "");
                EXPECT_EQ(observer->blind_steps, kSteps - 2);
            });
        EXPECT_THAT(outcome.violations, testing::IsEmpty());
    }
}

} // namespace
} // namespace trireme::test
