// The time of reading grows with the counts that a file gives, and not with their squares: up to
// 200,000 of each.
#include <gtest/gtest.h>

#include "cluster/file.hpp"
#include "cluster/xxh3.hpp"
#include "data/json.hpp"
#include "data/manifest.hpp"
#include "data/tokenizer_files.hpp"
#include "framework/checkpoint/manifest.hpp"
#include "framework/checkpoint/run_state.hpp"
#include "framework/pretrained/hf_config.hpp"
#include "framework/pretrained/safetensors.hpp"
#include "framework/run/job_history.hpp"
#include "framework/run/status.hpp"
#include "framework/verify/token_file.hpp"
#include "launch/prompts.hpp"
#include "tests/support/fuzz.hpp"
#include "tests/support/temporary_folder.hpp"

namespace trireme {
namespace {

using Json = nlohmann::json;

constexpr int kFew = 25'000, kTimes = 8;

std::string name_of(int i) {
    return "name" + std::to_string(i);
}

class LinearTime : public testing::Test {
  protected:
    std::string path(std::string const& name) const { return folder_.path() + "/" + name; }
    /// `write` makes a file of n things, `read` reads it; processor time of 8n against n, the best
    /// of some tries. What grows with the square takes 64 times as long; where 8n leave the caches,
    /// 19 times were seen.
    void expect_linear(std::function<std::string(int)> const& write, std::string const& name,
                       std::function<void()> const& read) const {
        auto const seconds = [&](int n) {
            test::put(path(name), write(n));
            double const start = test::processor_seconds();
            read();
            return test::processor_seconds() - start;
        };
        constexpr double kMost = 32;
        double ratio = 1e9;
        for (int tries = 0; tries < 4 && ratio >= kMost; ++tries) {
            double const once = seconds(kFew);
            ASSERT_LT(once, 20);
            ratio = std::min(ratio, seconds(kTimes * kFew) / once);
        }
        RecordProperty("ratio", std::to_string(ratio));
        EXPECT_LT(ratio, kMost);
    }
    test::TemporaryFolder folder_;
};

TEST_F(LinearTime, ObjectsInAListAndMembersOfAnObject) {
    auto const write = [](int n) {
        std::string list = "[", object = "{";
        for (int i = 0; i < n; ++i) {
            list += (i ? ",{\"a\":" : "{\"a\":") + std::to_string(i) + "}";
            object += (i ? ",\"" : "\"") + name_of(i) + "\":[]";
        }
        return "{\"list\":" + list + "],\"object\":" + object + "}}";
    };
    expect_linear(write, "a.json",
                  [&] { data::parse_json("a", cluster::read_file(path("a.json"))); });
    expect_linear(write, "a.json", [&] {
        data::parse_json<nlohmann::ordered_json>("a", cluster::read_file(path("a.json")));
    });
}

TEST_F(LinearTime, LabelsOfAModel) {
    auto const golden =
        Json::parse(cluster::read_file(std::string(TRIREME_GOLDEN) + "/bert/config.json"));
    expect_linear(
        [&](int n) {
            Json config = golden;
            config["id2label"] = config["label2id"] = Json::object();
            for (int i = 0; i < n; ++i) {
                config["id2label"][std::to_string(i)] = name_of(i);
                config["label2id"][name_of(i)] = i;
            }
            return config.dump();
        },
        "config.json",
        [&] {
            auto config = framework::pretrained::read_hf_config(folder_.path());
            config.head = framework::model::HeadKind::classification;
            config.labels = framework::pretrained::labels_of(config);
            framework::pretrained::class_names_of(config);
            config.labels.front() = "another"; // the list is written anew
            framework::pretrained::to_hf_config(config, "");
        });
}

TEST_F(LinearTime, TensorsOfAFile) {
    expect_linear(
        [](int n) {
            std::string header = "{";
            for (int i = 0; i < n; ++i)
                header += fmt::format(
                    "{}\"{}\":{{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[{},{}]}}",
                    i ? "," : "", name_of(i), 4 * i, 4 * i + 4);
            header += "}";
            std::uint64_t const size = header.size();
            return std::string(reinterpret_cast<char const*>(&size), 8) + header +
                   std::string(static_cast<std::size_t>(n) * 4, '\1');
        },
        "model.safetensors", [&] { framework::pretrained::find_tensors(folder_.path()); });
}

TEST_F(LinearTime, ShardsAndLabelsOfADataSet) {
    expect_linear(
        [](int n) {
            Json shards = Json::array(), labels = Json::array();
            for (int i = 0; i < n; ++i) {
                labels.push_back(name_of(i));
                shards.push_back({{"file", name_of(i)},
                                  {"samples", 1},
                                  {"tokens", 1},
                                  {"longest", 1},
                                  {"bytes", 1},
                                  {"xxh3", "a"},
                                  {"segments", 1},
                                  {"columns", Json::object()}});
            }
            return Json{
                {"format", "trireme-dataset"},
                {"task", "classification"},
                {"labels", labels},
                {"vocabulary", 5},
                {"max_length", 5},
                {"tokenizer_xxh3", ""},
                {"splits", {{"train", {{"label_counts", Json::array()}, {"shards", shards}}}}}}
                .dump();
        },
        "manifest.json", [&] { data::read_manifest(folder_.path()).splits.at("train").samples(); });
}

TEST_F(LinearTime, TensorsOfACheckpoint) {
    framework::run::Progress progress;
    progress.step = 3;
    expect_linear(
        [&](int n) {
            framework::checkpoint::Manifest manifest{.state = {{"progress", progress.to_json()},
                                                               {"trajectory", "a"},
                                                               {"config", "run: r"},
                                                               {"data", "d"},
                                                               {"saved_at", "now"},
                                                               {"ranks", 1}}};
            for (int i = 0; i < n / 3; ++i)
                for (char const* kind : {"weight", "moment1", "moment2"})
                    manifest.tensors.push_back(
                        {kind, name_of(i), "f32", {1}, {{"r.h5", "/m/0", {{0}, {1}}, 0}}});
            manifest.files = {{"r.h5", 100, "a", {"b"}}};
            framework::checkpoint::write_manifest(folder_.path(), manifest);
            return cluster::read_file(path("manifest.json"));
        },
        "manifest.json",
        [&] {
            framework::checkpoint::read_run_state(
                framework::checkpoint::read_manifest(folder_.path()), "step-00000003");
        });
}

TEST_F(LinearTime, PromptsAndEventsAndTokens) {
    auto const lines = [](std::string const& line) {
        return [line](int n) {
            std::string text;
            for (int i = 0; i < n; ++i) text += line + "\n";
            return text;
        };
    };
    expect_linear(lines(R"({"prompt": "a"})"), "p.jsonl",
                  [&] { launch::read_prompts(path("p.jsonl"), "prompt", "completion"); });
    expect_linear(lines(R"({"kind": "train", "step": 1, "loss": 1, "seconds": 1, "time": 1})"),
                  "metrics.jsonl", [&] {
                      framework::run::read_status(folder_.path());
                      framework::run::read_job_history(folder_.path());
                  });
    expect_linear(lines(R"({"kind": "job", "step": 1, "time": 1})"), "metrics.jsonl", [&] {
        framework::run::read_status(folder_.path()).to_json();
        framework::run::read_job_history(folder_.path()).stuck_at(1);
    });
    expect_linear(
        [](int n) {
            std::vector<std::vector<int>> const ids(static_cast<std::size_t>(n), {1, 2});
            return Json{{"input_ids", ids}, {"labels", ids}}.dump();
        },
        "t.json", [&] { framework::verify::read_token_file(path("t.json")); });
}

} // namespace
} // namespace trireme
