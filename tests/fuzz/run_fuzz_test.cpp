// Configurations, what a run leaves behind, and what Slurm says, damaged.
#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <optional>
#include <sstream>

#include "cluster/flight_record.hpp"
#include "cluster/report.hpp"
#include "framework/config/config.hpp"
#include "framework/parity/certificate_file.hpp"
#include "framework/pretrained/run_source.hpp"
#include "framework/run/job_history.hpp"
#include "framework/run/status.hpp"
#include "launch/batch_script.hpp"
#include "launch/job_environment.hpp"
#include "launch/prompts.hpp"
#include "launch/site.hpp"
#include "tests/support/fuzz.hpp"
#include "tests/support/temporary_folder.hpp"

namespace trireme {
namespace {

using test::fuzz;
using test::fuzz_json;
using test::fuzz_with;
using test::FuzzLimits;
using test::put;

class RunFuzz : public testing::Test {
  protected:
    std::string path(std::string const& name) const { return folder_.path() + "/" + name; }
    test::TemporaryFolder folder_;
};

TEST_F(RunFuzz, Configuration) {
    put(path("base.yaml"), "run: r\ntask: classification\nmodel:\n  path: m\ndata:\n  path: d\n");
    fuzz(framework::config::to_yaml(framework::config::read_config(path("base.yaml"), {})),
         [&](std::string const& text) {
             put(path("run.yaml"), text);
             framework::config::to_yaml(
                 framework::config::read_config(path("run.yaml"), {"optimizer.clip=2"}));
         });
}

TEST_F(RunFuzz, Site) {
    fuzz("source: \"a manual\"\nverified_on: nothing\nlauncher: mpirun\ntasks_per_node: "
         "8\ncpus_per_task: 4\n"
         "most_minutes: 1440\nlead: 300\nsbatch:\n  partition: gpu\n  exclusive:\nmodules: "
         "[gcc/13.2, openmpi]\n"
         "environment:\n  OMP_PLACES: cores\nmpirun: [\"--bind-to\", none]\n",
         [&](std::string const& text) {
             put(path("site.yaml"), text);
             launch::BatchJob job{.name = "a", .time = "10"};
             launch::Site const site = launch::read_site(path("site.yaml"), "/none");
             job.launcher = site.launcher;
             launch::batch_script(job, site);
         });
}

std::string const kEvents =
    R"({"kind": "job", "step": 0, "total_steps": 9, "host": "n1", "nodes": 2, "ranks": 4, "layout": "4", "job_id": "7", "restarts": 0, "time": 10.5}
{"kind": "train", "step": 1, "loss": 0.5, "seconds": 1.5, "mean_tokens_per_second": 9, "mean_samples_per_second": 2, "peak_memory": 100, "time": 12}
{"kind": "evaluation", "step": 1, "split": "test", "seconds": 2, "loss": 0.25, "accuracy": 1, "time": 14}
{"kind": "checkpoint", "step": 1, "seconds": 2, "time": 15}
{"kind": "end", "step": 1, "exit_code": 85, "why": "a signal", "time": 16}
)";

TEST_F(RunFuzz, EventsOfARun) {
    auto const read = [&](std::string const& text) {
        put(path("metrics.jsonl"), text);
        framework::run::read_status(folder_.path())
            .to_json()
            .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
        framework::run::read_job_history(folder_.path()).node_hours();
    };
    fuzz_with(test::Mutator(), kEvents, read, FuzzLimits::asked().part(2));
    // Lines that stay JSON come further: one value after the other is another one.
    std::istringstream lines(kEvents);
    nlohmann::ordered_json events = nlohmann::ordered_json::array();
    for (std::string line; std::getline(lines, line);)
        events.push_back(nlohmann::ordered_json::parse(line));
    fuzz_with(
        test::JsonMutator(), events.dump(),
        [&](std::string const& text) {
            auto const json = nlohmann::ordered_json::parse(text);
            std::string file;
            for (auto const& event : json) file += event.dump() + "\n";
            read(json.is_array() ? file : text);
        },
        FuzzLimits::asked().part(2));
}

/// Damages the header and the first group: the rest of the 100 KB is empty.
TEST_F(RunFuzz, FlightRecords) {
    std::filesystem::create_directories(path("flight"));
    put(path("metrics.jsonl"), kEvents.substr(0, kEvents.find('\n') + 1));
    std::vector<std::string> files;
    for (int rank = 0; rank < 2; ++rank) {
        cluster::FlightRecorder recorder(rank, 2);
        recorder.enter_step(7);
        recorder.enter_phase("step/update");
        auto flight = recorder.snapshot();
        flight.header.job = 1;
        flight.header.process = INT32_MAX; // nobody has this number
        files.push_back(cluster::to_bytes(flight));
    }
    put(cluster::flight_file(folder_.path(), 1), files[1]);
    std::size_t const front = std::min<std::size_t>(2000, files[0].size());
    fuzz(files[0].substr(0, front), [&](std::string const& bytes) {
        put(cluster::flight_file(folder_.path(), 0), bytes + files[0].substr(front));
        framework::run::read_status(folder_.path());
    });
}

TEST_F(RunFuzz, VerdictOfTheWatch) {
    std::filesystem::create_directories(path("flight"));
    fuzz_with(test::Mutator(), "no progress for 2 s: rank 1@n1 does not answer\n1 3 5\n",
              [&](std::string const& text) {
                  put(path("flight/verdict"), text);
                  if (cluster::read_verdict(folder_.path())->guilty.size() != 3)
                      // it is read whatever it says
                      throw cluster::InputError(folder_.path() + ": other ranks");
              });
}

TEST_F(RunFuzz, Certificate) {
    std::string const good =
        R"({"format": "trireme parity certificate 1", "verdict": "passed", "model": "llama",
"layouts": [{"layout": "a", "ranks": 2, "passed": true}]})";
    fuzz_json(good, [&](std::string const& text) {
        put(path("parity.json"), text);
        framework::parity::read_certificate(path("parity.json"),
                                            {{"verdict", "passed"}, {"model", "llama"}});
    });
}

TEST_F(RunFuzz, SourceOfARun) {
    std::filesystem::create_directories(path("source"));
    fuzz_json(R"({"labels": ["no", "yes"], "dtypes": {"a": "F32", "b": "BF16"}})",
              [&](std::string const& text) {
                  put(path("source/source.json"), text);
                  framework::pretrained::read_run_source(folder_.path());
              });
}

TEST_F(RunFuzz, Prompts) {
    fuzz("{\"prompt\": \"a film\", \"completion\": \"good\", \"id\": [1, {\"x\": null}]}\n\n"
         "{\"prompt\": \"b \\u00e9\"}\n",
         [&](std::string const& text) {
             put(path("prompts.jsonl"), text);
             auto const texts = launch::read_prompts(path("prompts.jsonl"), "prompt", "completion");
             EXPECT_EQ(texts.prompts.size(), texts.references.size());
         });
}

/// Names of variables, then what squeue prints, line by line.
TEST_F(RunFuzz, WhatSlurmSays) {
    fuzz_with(
        test::Mutator(), "77\n4\n2\n1800000000\n1800000001\n",
        [&](std::string const& text) {
            std::istringstream in(text.substr(0, text.find('\0')));
            std::array<std::string, 5> lines;
            for (auto& line : lines) std::getline(in, line);
            auto const variables = [&](std::string const& name) -> std::optional<std::string> {
                if (name == "SLURM_JOB_ID") return lines[0];
                if (name == "SLURM_JOB_NUM_NODES") return lines[1];
                if (name == "SLURM_RESTART_COUNT") return lines[2];
                return lines[3].empty() ? std::nullopt : std::optional(lines[3]);
            };
            launch::job_environment(variables,
                                    [&](std::string const&) { return std::optional(lines[4]); });
        },
        FuzzLimits::asked(), "SLURM_");
}

TEST_F(RunFuzz, TimesOfJobs) {
    fuzz_with(
        test::Mutator(), "2-01:00:30",
        [&](std::string const& text) { launch::seconds_of("--time", text); }, FuzzLimits::asked(),
        "--time");
}

} // namespace
} // namespace trireme
