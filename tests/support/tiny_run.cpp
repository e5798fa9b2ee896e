#include "tests/support/tiny_run.hpp"

#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "cluster/file.hpp"
#include "cluster/philox.hpp"
#include "data/manifest.hpp"

namespace trireme::test {

namespace {

constexpr std::int64_t kVocabulary = 101;

std::vector<data::Sample> samples(std::uint64_t purpose, int count) {
    std::vector<data::Sample> all;
    for (int i = 0; i < count; ++i) {
        auto const draw = [&](std::uint64_t place) {
            return cluster::philox(purpose, static_cast<std::uint64_t>(i), place)[0];
        };
        data::Sample& s = all.emplace_back();
        s.tokens.resize(3 + draw(0) % 17);
        for (std::size_t t = 0; t < s.tokens.size(); ++t)
            s.tokens[t] = t && draw(2 * t) % 4
                              ? static_cast<std::int32_t>((s.tokens[t - 1] * 5 + 3) % kVocabulary)
                              : static_cast<std::int32_t>(draw(2 * t + 1) % kVocabulary);
        for (std::size_t t = 1; t <= s.tokens.size(); ++t)
            s.labels[data::kTokenLabels.name].push_back(t < s.tokens.size() ? s.tokens[t]
                                                                            : data::kIgnoredLabel);
    }
    return all;
}

constexpr char const* kModel =
    R"({"model_type": "llama", "hidden_size": 24, "num_hidden_layers": 4, "num_attention_heads": 3,
"num_key_value_heads": 1, "head_dim": 8, "intermediate_size": 40, "vocab_size": 101, "max_position_embeddings": 32,
"hidden_act": "silu", "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": true, "initializer_range": 0.2})";

} // namespace

std::string write_tiny_run(std::string const& folder) {
    std::filesystem::create_directories(folder + "/model");
    std::filesystem::create_directories(folder + "/data");
    cluster::write_file(folder + "/model/config.json", kModel);
    data::Manifest manifest{
        .task = data::TaskKind::language_modeling, .vocabulary = kVocabulary, .max_length = 32};
    manifest.splits["train"].shards = {
        data::write_shard(folder + "/data", "train-00000.h5", samples(1, 30), {}),
        data::write_shard(folder + "/data", "train-00001.h5", samples(2, 23), {})};
    manifest.splits["validation"].shards = {
        data::write_shard(folder + "/data", "validation-00000.h5", samples(3, 10), {})};
    data::write_manifest(folder + "/data", manifest);
    std::string const file = folder + "/run.yaml";
    cluster::write_file(
        file, "run: " + folder +
                  "/run\nseed: 3\ntask: language-modeling\nmodel:\n  path: " + folder +
                  "/model\n  from_scratch: true\n  hidden_dropout: 0.1\n  "
                  "attention_dropout: 0.1\ndata:\n  path: " +
                  folder +
                  "/data\nbatch:\n  global: 7\n  tokens_per_micro_batch: 30\nnumerics:\n  mode: "
                  "bitwise\n  threads: 1\noptimizer:\n"
                  "  learning_rate: 3e-3\ntrain:\n  steps: 40\nevaluation:\n  every: "
                  "10\ncheckpoint:\n  every: 4\n");
    return file;
}

Outcome run_command(std::vector<std::string> const& command) {
    std::string line = "exec";
    for (auto const& word : command) line += " '" + word + "'";
    Outcome outcome;
    FILE* const pipe = popen((line + " 2>&1 < /dev/null").c_str(), "r");
    if (!pipe) throw std::runtime_error("popen: " + line);
    std::array<char, 4096> buffer;
    while (std::size_t const n = std::fread(buffer.data(), 1, buffer.size(), pipe))
        outcome.output.append(buffer.data(), n);
    int const status = pclose(pipe);
    outcome.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return outcome;
}

std::vector<std::string> trireme(int ranks, std::vector<std::string> const& arguments) {
    char const* const mutant = std::getenv("TRIREME_COMMAND"); // tests/mutants
    std::string const program = mutant ? mutant : TRIREME_BINARY;
    std::vector<std::string> command{program};
    if (ranks > 0)
        command = {TRIREME_MPIEXEC, "-n", std::to_string(ranks), "--oversubscribe", program};
    command.insert(command.end(), arguments.begin(), arguments.end());
    return command;
}

std::vector<std::string> metric_lines(std::string const& run) {
    std::vector<std::string> lines;
    std::ifstream file(run + "/metrics.jsonl");
    for (std::string line; std::getline(file, line);) lines.push_back(line);
    return lines;
}

std::string final_hash(std::string const& run) {
    std::string hash;
    for (auto const& line : metric_lines(run))
        if (auto const event = nlohmann::json::parse(line, nullptr, false);
            event.is_object() && event.value("kind", "") == "end")
            hash = event.at("weights_sha256");
    return hash;
}

} // namespace trireme::test
