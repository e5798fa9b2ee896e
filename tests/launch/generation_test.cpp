// Goes from prompts and completions to a model that answers and stops, as a user runs it.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "cluster/file.hpp"
#include "cluster/philox.hpp"
#include "data/loader.hpp"
#include "launch/streamed_text.hpp"
#include "tests/launch/generation_scene.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tests/support/tiny_run.hpp"

namespace trireme::test {
namespace {

TEST(StreamedText, NeverShowsAPartOfACharacter) {
    launch::StreamedText text;
    EXPECT_EQ(text.next("caf\xEF\xBF\xBD"), "caf");
    EXPECT_EQ(text.next("caf\xEF\xBF\xBD\xEF\xBF\xBD"), "");
    EXPECT_EQ(text.next("café"), "é");
    EXPECT_EQ(text.next("cafe"), "") << "a decoder that goes back";
    EXPECT_EQ(text.next("café au"), " au");
    EXPECT_EQ(text.last("café au\xEF\xBF\xBD"), "\xEF\xBF\xBD")
        << "the end of the text: it stays incomplete";
    EXPECT_EQ(text.last("another text"), "\nanother text");
}

/// 1 to 4 words and their partners, a lookup with a length of its own: only the stop token makes a
/// completion right.
std::string pairs(std::uint64_t purpose, int count, int remainder) {
    std::string lines;
    for (std::uint64_t i = 0; count > 0; ++i) {
        auto const draw = cluster::philox(purpose, i, 0);
        std::size_t const length = 1 + draw[0] % 4;
        std::string prompt, answer;
        std::size_t sum = 0;
        for (std::size_t k = 0; k < length; ++k) {
            std::size_t const word = draw[1] >> (3 * k) & 7;
            sum += word * (k + 1);
            prompt += kWords[word] + " ";
            answer += " " + kWords[(word * 3 + 2) % kWords.size()];
        }
        // Prompts of one remainder are held out: none of them is in training.
        if ((sum % 5 == 0) != (remainder == 0)) continue;
        lines += nlohmann::json{{"q", prompt + "="}, {"a", answer}}.dump() + "\n";
        --count;
    }
    return lines;
}

TEST_F(Generation, LearnsToAnswerAndToStop) {
    std::string const train = write("train.jsonl", pairs(1, 1500, 1)),
                      test = write("test.jsonl", pairs(2, 60, 0)),
                      validation = write("validation.jsonl", pairs(3, 60, 0));
    ASSERT_EQ(prepare({train, "--validation", validation, "--test", test}).exit_code, 0);
    std::string const yaml =
        write("run.yaml",
              "run: " + path("run") + "\ntask: generation\nmodel:\n  path: " + path("model") +
                  "\n  from_scratch: true\ndata:\n  path: " + path("data") +
                  "\nbatch:\n  global: 64\n  tokens_per_micro_batch: 1024\nnumerics:\n  threads: "
                  "1\noptimizer:\n"
                  "  learning_rate: 1e-2\n  schedule: cosine\ntrain:\n  steps: 400\nevaluation:\n  "
                  "every: 200\n");
    Outcome const trained = run_command(trireme(2, {"train", yaml}));
    ASSERT_EQ(trained.exit_code, 0) << trained.output;
    ASSERT_EQ(run_command(trireme(0, {"export", "--run", path("run"), "--output", path("out")}))
                  .exit_code,
              0);

    std::string lines;
    nlohmann::json summary;
    struct Way {
        int ranks;
        char const* pipeline;
    };
    for (auto const [ranks, pipeline] : {Way{1, "1"}, {2, "1"}, {3, "1"}, {2, "2"}, {4, "2"}}) {
        Outcome const result = run_command(
            trireme(ranks, {"generate", path("out"), "--prompts", test, "--prompt-column", "q",
                            "--completion-column", "a", "--output", path("made.jsonl"), "--force",
                            "--batch", "7", "--threads", "1", "--set",
                            std::string("parallel.pipeline=") + pipeline}));
        ASSERT_EQ(result.exit_code, 0) << result.output;
        summary = nlohmann::json::parse(result.output);
        std::string const made = cluster::read_file(path("made.jsonl"));
        EXPECT_TRUE(lines.empty() || made == lines) << ranks << " ranks, pipeline " << pipeline;
        lines = made;
    }
    EXPECT_GT(summary.at("exact_match").get<double>(), 0.9) << summary;
    EXPECT_GE(summary.at("f1").get<double>(), summary.at("exact_match_normalized").get<double>());
    EXPECT_GE(summary.at("rouge_l").get<double>(), summary.at("exact_match").get<double>());
    EXPECT_LE(summary.at("rouge_l").get<double>(), 1);
    EXPECT_GT(summary.at("ended_by_stop_token").get<int>(), 54) << summary;
    EXPECT_EQ(summary.at("scored"), 60);

    Outcome const evaluated =
        run_command(trireme(0, {"evaluate", "--model", path("out"), "--data", path("data")}));
    ASSERT_EQ(evaluated.exit_code, 0) << evaluated.output;
    EXPECT_NEAR(std::exp(nlohmann::json::parse(evaluated.output).at("loss").get<double>()),
                summary.at("perplexity").get<double>(), 1e-5);
    for (char const* layout : {"parallel.pipeline=2", "parallel.tensor=2", "parallel.zero=3"}) {
        Outcome const laid = run_command(trireme(
            2, {"evaluate", "--model", path("out"), "--data", path("data"), "--set", layout}));
        ASSERT_EQ(laid.exit_code, 0) << laid.output;
        auto const one = nlohmann::json::parse(evaluated.output),
                   two = nlohmann::json::parse(laid.output);
        EXPECT_NEAR(two.at("loss").get<double>(), one.at("loss").get<double>(), 1e-6) << layout;
        EXPECT_EQ(two.at("accuracy"), one.at("accuracy")) << layout;
        EXPECT_TRUE(laid.output == evaluated.output ||
                    std::string_view(layout) == "parallel.tensor=2")
            << layout;
    }
    Outcome const rounded =
        run_command(trireme(0, {"evaluate", "--model", path("out"), "--data", path("data"), "--set",
                                "numerics.compute=bf16"}));
    ASSERT_EQ(rounded.exit_code, 0) << rounded.output;
    auto const exact = nlohmann::json::parse(evaluated.output),
               bf16 = nlohmann::json::parse(rounded.output);
    EXPECT_EQ(exact.at("compute"), "fp32");
    EXPECT_EQ(bf16.at("compute"), "bf16");
    EXPECT_NE(bf16.at("loss"), exact.at("loss"));
    EXPECT_NEAR(bf16.at("loss").get<double>(), exact.at("loss").get<double>(), 0.1);

    // That nothing is to be said is an answer, which counts.
    std::string const nothing =
        write("nothing.jsonl", "{\"q\": \"ant =\", \"a\": \"\"}\n{\"q\": \"ant =\"}\n");
    Outcome const silent = run_command(
        trireme(0, {"generate", path("out"), "--prompts", nothing, "--prompt-column", "q",
                    "--completion-column", "a", "--output", path("silent.jsonl")}));
    ASSERT_EQ(silent.exit_code, 0) << silent.output;
    auto const counted = nlohmann::json::parse(silent.output);
    EXPECT_EQ(counted.at("scored"), 1);
    EXPECT_EQ(counted.at("exact_match"), 0.0);
    EXPECT_GT(counted.at("perplexity").get<double>(), 1.0) << "of the stop token";

    auto const first = nlohmann::json::parse(lines.substr(0, lines.find('\n')));
    std::string const prompt = first.at("prompt"),
                      wanted = first.at("completion").get<std::string>() + "\n";
    for (char const* stream : {"always", "never"}) {
        Outcome const one = run_command(
            trireme(0, {"generate", path("out"), "--prompt", prompt, "--stream", stream}));
        EXPECT_EQ(one.output.substr(0, wanted.size()), wanted);
        EXPECT_NE(one.output.find("ended by stop"), std::string::npos) << one.output;
    }
    auto const refused = [&](std::vector<std::string> more, std::string const& part) {
        more.insert(more.begin(), {"generate", path("out")});
        expect_refused(run_command(trireme(0, more)), part);
    };
    refused({"--prompt", "ant ant ant ant ant ant ant ant ant ant ant ant ="},
            "--prompt: prompt: 14 tokens: legal: 1 to 12, the positions of the model");
    refused({"--prompts", write("p.jsonl", "\n{\"prompt\": 3}\n")},
            "p.jsonl:2: prompt: 3: legal: a string");
    refused({"--prompts", path("p2.jsonl")}, "p2.jsonl: cannot be read");
    refused({"--prompt", "ant", "--top-p", "2"}, "--top-p: 2: legal");
    refused(
        {"--prompt", "ant", "--set", "parallel.tensor=2"},
        "--set parallel.tensor=2: legal for trireme generate: KEY=VALUE with parallel.pipeline, ");
    refused({"--prompt", "ant", "--set", "parallel.pipeline=2"}, "pipeline 2");

    // A tokenizer that joins a blank to the word behind it.
    std::string tokenizer = cluster::read_file(path("out/tokenizer.json"));
    std::string const split = "\"WhitespaceSplit\"";
    ASSERT_NE(tokenizer.find(split), std::string::npos);
    tokenizer.replace(
        tokenizer.find(split), split.size(),
        R"("Metaspace", "replacement": "_", "prepend_scheme": "never", "split": true)");
    write("out/tokenizer.json", tokenizer);
    for (char const* ending : {"", " "}) {
        Outcome const told = run_command(
            trireme(0, {"generate", path("out"), "--prompt", std::string("ant =") + ending,
                        "--max-new-tokens", "1", "--stream", "never"}));
        ASSERT_EQ(told.exit_code, 0) << told.output;
        EXPECT_EQ(
            told.output.find(
                "note: --prompt: the completion begins where the tokenizer joins the end of the "
                "prompt to the next word") != std::string::npos,
            *ending == ' ')
            << told.output;
    }
    fs::remove(path("out/tokenizer.json"));
    refused({"--prompt", "ant"}, "out/tokenizer.json: missing");
}

/// Beside a copy of the programs, a text program that greets and dies.
TEST_F(Generation, ADeadTokenizerIsOneErrorAndNoHang) {
    fs::create_directories(path("bin"));
    std::string const own = trireme(0, {})[0];
    for (char const* which : {"", "-model"})
        fs::copy_file(own + which, path("bin/trireme") + which);
    write("bin/trireme-text",
          "#!/bin/sh\necho '{\"vocabulary\": 12, \"stop\": 1}'\nread request\nkill -9 $$\n");
    fs::permissions(path("bin/trireme-text"), fs::perms::owner_all);
    for (int const ranks : {0, 2}) {
        auto command = trireme(ranks, {"generate", path("model"), "--prompt", "ant ="});
        *std::ranges::find(command, own) = path("bin/trireme");
        Outcome const result = run_command(command);
        EXPECT_EQ(result.exit_code, 1) << result.output;
        EXPECT_NE(result.output.find("trireme-text was ended by signal 9"), std::string::npos)
            << result.output;
    }
}

} // namespace
} // namespace trireme::test
