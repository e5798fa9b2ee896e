#include "tests/launch/mistakes.hpp"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "cluster/file.hpp"
#include "cluster/xxh3.hpp"
#include "data/manifest.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tests/support/tiny_run.hpp"

namespace trireme::test {

namespace fs = std::filesystem;

namespace {

using Spoil = std::function<void(std::string const&)>;

constexpr std::int32_t kVocabulary = 97;

/// `classes` 0: for language modelling.
std::vector<data::Sample> samples(int count, int classes) {
    std::vector<data::Sample> all;
    for (int i = 0; i < count; ++i) {
        data::Sample& s = all.emplace_back();
        for (int t = 0; t < 3 + i % 9; ++t) s.tokens.push_back((i * 7 + t * 5) % kVocabulary);
        if (classes) {
            s.labels[data::kClassLabel.name] = {i % classes};
            continue;
        }
        auto& next = s.labels[data::kTokenLabels.name];
        next.assign(s.tokens.begin() + 1, s.tokens.end());
        next.push_back(data::kIgnoredLabel);
    }
    return all;
}

void write_data(std::string const& folder, std::vector<std::string> const& labels) {
    fs::create_directories(folder);
    auto const classes = static_cast<int>(labels.size());
    data::ShardAbout const about{
        classes ? data::TaskKind::classification : data::TaskKind::language_modeling, labels};
    data::Manifest manifest{
        .task = about.task, .labels = labels, .vocabulary = kVocabulary, .max_length = 16};
    for (auto const& [split, count] : {std::pair{"train", 20}, {"validation", 6}}) {
        manifest.splits[split].shards = {data::write_shard(folder, std::string(split) + "-00000.h5",
                                                           samples(count, classes), about),
                                         data::write_shard(folder, std::string(split) + "-00001.h5",
                                                           samples(4, classes), about)};
        manifest.splits[split].label_counts.assign(static_cast<std::size_t>(classes),
                                                   count / std::max(1, classes));
    }
    data::write_manifest(folder, manifest);
}

constexpr char const* kRun = R"(run: DIR/run
task: language-modeling
model:
  path: DIR/llama
data:
  path: DIR/data
batch:
  global: 4
numerics:
  threads: 1
optimizer:
  learning_rate: 1e-3
train:
  steps: 2
)";

constexpr char const* kRows = R"({"text": "the film is good", "label": "yes"}
{"text": "a very bad plot", "label": "no"}
{"text": "not a great film", "label": "no"}
{"text": "great actors", "label": "yes"}
)";

} // namespace

std::string replaced(std::string text, std::string const& from, std::string const& to) {
    for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
        text.replace(at, from.size(), to);
    return text;
}

namespace {

void make_scene(std::string const& folder) {
    std::string const golden = TRIREME_GOLDEN;
    for (std::string const model : {"llama", "bert"}) {
        fs::create_directories(folder + "/" + model);
        for (std::string const name : {"config.json", "model.safetensors"})
            fs::copy_file(golden + "/" + model + "/" + name, folder + "/" + model + "/" + name);
        fs::copy_file(golden + "/tokenizer/tokenizer.json",
                      folder + "/" + model + "/tokenizer.json");
    }
    write_data(folder + "/data", {});
    write_data(folder + "/classes", {"bad", "good", "so-so"});
    write("rows.jsonl", kRows)(folder);
}

} // namespace

void write_scene(std::string const& folder) {
    static TemporaryFolder const made;
    static bool const once = (make_scene(made.path()), true);
    static_cast<void>(once);
    fs::copy(made.path(), folder, fs::copy_options::recursive);
    write("run.yaml", kRun)(folder);
}

std::vector<std::string> snapshot(std::string const& folder) {
    std::vector<std::string> all;
    for (auto const& entry : fs::recursive_directory_iterator(folder)) {
        std::string line = entry.path().lexically_relative(folder).string();
        if (!entry.is_symlink() && entry.is_regular_file())
            line += " " + cluster::xxh3_of_file(entry.path().string());
        all.push_back(std::move(line));
    }
    std::ranges::sort(all);
    return all;
}

Spoil write(std::string const& path, std::string const& text) {
    return [=](std::string const& folder) {
        fs::create_directories(fs::path(folder + "/" + path).parent_path());
        std::ofstream(folder + "/" + path, std::ios::binary) << replaced(text, "DIR", folder);
    };
}

Spoil change(std::string const& path, std::string const& from, std::string const& to) {
    return [=](std::string const& folder) {
        std::string const text = cluster::read_file(folder + "/" + path);
        ASSERT_NE(text.find(from), std::string::npos) << path << " has no " << from;
        write(path, replaced(text, from, to))(folder);
    };
}

Spoil remove(std::string const& path) {
    return [=](std::string const& folder) {
        ASSERT_TRUE(fs::remove_all(folder + "/" + path)) << path;
    };
}

Spoil header(std::function<void(nlohmann::ordered_json&)> const& edit) {
    return [=](std::string const& folder) {
        std::string const path = folder + "/llama/model.safetensors",
                          old = cluster::read_file(path);
        std::uint64_t size = 0;
        std::memcpy(&size, old.data(), 8);
        auto json = nlohmann::ordered_json::parse(old.substr(8, size));
        edit(json);
        std::string const text = json.dump();
        std::uint64_t const now = text.size();
        std::ofstream(path, std::ios::binary).write(reinterpret_cast<char const*>(&now), 8)
            << text << old.substr(8 + size);
    };
}

Spoil both(Spoil const& first, Spoil const& second) {
    return [=](std::string const& folder) {
        first(folder);
        second(folder);
    };
}

std::vector<std::string> train(std::vector<std::string> const& set) {
    std::vector<std::string> all{"train", "DIR/run.yaml"};
    for (auto const& assignment : set) all.insert(all.end(), {"--set", assignment});
    return all;
}

std::vector<std::string> prepare(std::string const& input, std::vector<std::string> const& more) {
    std::vector<std::string> all{"prepare",  "--task",  "classification", "--tokenizer", "DIR/bert",
                                 "--output", "DIR/out", "--label",        "label"};
    if (std::ranges::find(more, "--max-length") == more.end())
        all.insert(all.end(), {"--max-length", "16"});
    all.insert(all.end(), {"--train", "DIR/" + input});
    all.insert(all.end(), more.begin(), more.end());
    return all;
}

Mistake rows(char const* name, std::string const& file, std::string const& text,
             std::string const& line) {
    return {name, prepare(file), line, write(file, text)};
}

} // namespace trireme::test
