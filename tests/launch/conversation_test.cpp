// Talks to a model through a pipe, as a user at the terminal does: what `generate --chat` answers
// is what `generate --prompt` makes of the whole conversation as the template writes it.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cluster/file.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tests/support/tiny_run.hpp"

namespace trireme::test {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using Lines = std::vector<std::string>;

constexpr int kVocabulary = 97; ///< of the golden Llama, which has 16 positions

/// Turns of the assistant end with `end`, others with =.
std::string template_with(std::string const& end) {
    return "<s>{% for m in messages %} {{ m['content'] }}{{ ' " + end +
           "' if m['role'] == 'assistant' else ' =' }}{% endfor %}";
}

Lines const kSampled{"--max-new-tokens", "3", "--temperature", "1", "--seed", "7"};

class ConversationCommand : public testing::Test {
  protected:
    ConversationCommand() {
        make_model("llama", "model");
        write("model/chat_template.jinja", template_with("</s>"));
    }
    std::string path(std::string const& name) const { return folder_.path() + "/" + name; }
    void write(std::string const& name, std::string const& text) const {
        cluster::write_file(path(name), text);
    }
    void make_model(std::string const& golden, std::string const& name) const {
        fs::create_directories(path(name));
        for (char const* file : {"config.json", "model.safetensors"})
            fs::copy_file(TRIREME_GOLDEN "/" + golden + "/" + file, path(name + "/" + file));
        write_tokenizer(name, {});
    }
    /// Words w0, w1, ... at their ids, but for <s> 1, </s> 2, = 3, ? 4; `special` too is a special
    /// token, as <s> and </s> are.
    void write_tokenizer(std::string const& model, std::vector<int> const& special) const {
        Json vocabulary, added = Json::array();
        for (int id = 0; id < kVocabulary; ++id) vocabulary[word(id)] = id;
        std::vector<int> ids{1, 2};
        ids.insert(ids.end(), special.begin(), special.end());
        for (int const id : ids)
            added.push_back(Json{{"id", id},
                                 {"content", word(id)},
                                 {"single_word", false},
                                 {"lstrip", false},
                                 {"rstrip", false},
                                 {"normalized", false},
                                 {"special", true}});
        write(model + "/tokenizer.json",
              Json{{"version", "1.0"},
                   {"truncation", nullptr},
                   {"padding", nullptr},
                   {"added_tokens", added},
                   {"normalizer", nullptr},
                   {"pre_tokenizer", {{"type", "WhitespaceSplit"}}},
                   {"post_processor", nullptr},
                   {"decoder", nullptr},
                   {"model", {{"type", "WordLevel"}, {"unk_token", "?"}, {"vocab", vocabulary}}}}
                  .dump());
    }
    static std::string word(int id) {
        char const* const others[]{"<s>", "</s>", "=", "?"};
        return id >= 1 && id <= 4 ? others[id - 1] : "w" + std::to_string(id);
    }

    /// Sends `input` through a pipe. Returns standard output; standard error is in errors_.
    Outcome talk(std::string const& input, Lines const& more = {}, int ranks = 0) {
        Lines arguments{"generate", path("model"), "--threads", "1"};
        if (std::ranges::find(more, "--chat") == more.end()) arguments.push_back("--chat");
        arguments.insert(arguments.end(), more.begin(), more.end());
        write("input", input);
        std::string script = "cat '" + path("input") + "' |";
        for (auto const& one : trireme(ranks, arguments)) script += " '" + one + "'";
        write("talk.sh", script + " 2> '" + path("errors") + "'\n");
        Outcome const outcome = run_command({"sh", path("talk.sh")});
        errors_ = cluster::read_file(path("errors"));
        return outcome;
    }
    /// Answers to the turns, a line each.
    Lines answers(std::string const& input, Lines const& more) {
        Outcome const outcome = talk(input, more);
        EXPECT_EQ(outcome.exit_code, 0) << errors_;
        std::istringstream in(outcome.output);
        Lines lines;
        for (std::string line; std::getline(in, line);) lines.push_back(line);
        return lines;
    }
    /// Returns the line that `generate --prompts` writes for one prompt.
    Json completion(std::string const& prompt, Lines const& more) const {
        write("prompts.jsonl", Json{{"prompt", prompt}}.dump() + "\n");
        fs::remove(path("made.jsonl"));
        Lines arguments{"generate",  path("model"),         "--threads", "1",
                        "--prompts", path("prompts.jsonl"), "--output",  path("made.jsonl")};
        arguments.insert(arguments.end(), more.begin(), more.end());
        Outcome const outcome = run_command(trireme(0, arguments));
        EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
        return Json::parse(cluster::read_file(path("made.jsonl")));
    }
    std::string completed(std::string const& prompt) const {
        return completion(prompt, kSampled).at("completion");
    }
    void expect_refused(Outcome const& outcome, std::string const& part) const {
        EXPECT_EQ(outcome.exit_code, 2) << errors_;
        EXPECT_EQ(outcome.output, "");
        EXPECT_NE(errors_.find(part), std::string::npos) << errors_;
        EXPECT_EQ(std::ranges::count(errors_, '\n'), 1) << errors_;
    }
    TemporaryFolder folder_;
    std::string errors_;
};

TEST_F(ConversationCommand, EachTurnIsMadeOfTheWholeConversation) {
    Lines const made = answers("w10\n\nw11\n", kSampled);
    ASSERT_EQ(made.size(), 2U) << "an empty line is no turn";
    EXPECT_EQ(made[0], completed("<s> w10 ="));
    EXPECT_EQ(made[1], completed("<s> w10 = " + made[0] + " </s> w11 ="));
    Lines const alone = answers("w11\n", kSampled);
    ASSERT_EQ(alone.size(), 1U);
    EXPECT_NE(made[1], alone[0]) << "without what was said before";
    EXPECT_EQ(answers("w10\nw11\n", kSampled), made) << "the same each time";
    Lines streamed = kSampled;
    streamed.insert(streamed.end(), {"--stream", "always"});
    EXPECT_EQ(answers("w10\nw11\n", streamed), made);
    EXPECT_EQ(answers("w10\r\nw11", kSampled), made) << "lines of Windows, and none at the end";
}

TEST_F(ConversationCommand, CommandsBeginAnewAndEnd) {
    Lines const made = answers("w10\n/reset\nw11\n/system w12 w13\nw11\n/reset\nw11\n/system\nw11\n"
                               "/quit\nw14\n",
                               kSampled);
    ASSERT_EQ(made.size(), 5U);
    std::string const alone = completed("<s> w11 ="), told = completed("<s> w12 w13 = w11 =");
    EXPECT_NE(alone, told);
    EXPECT_EQ(made[1], alone);
    EXPECT_EQ(made[2], told);
    EXPECT_EQ(made[3], told) << "/reset keeps the system message";
    EXPECT_EQ(made[4], alone) << "/system without a text takes it away";
}

/// The likeliest token ends a turn by the template, and is no eos_token_id.
TEST_F(ConversationCommand, EndsATurnAsTheTemplateDoes) {
    Lines const greedy{"--max-new-tokens", "2"};
    for (int asked = 10; asked < 30; ++asked) {
        Json const plain = completion("<s> " + word(asked) + " =", greedy);
        if (plain.at("ended_by") != "max_new_tokens" || plain.at("tokens").at(0) < 5) continue;
        auto const likeliest = plain.at("tokens").at(0).get<int>();
        auto const text = plain.at("completion").get<std::string>();
        EXPECT_EQ(answers(word(asked) + "\n", greedy), Lines{text});
        EXPECT_NE(errors_.find("(ended by max_new_tokens)"), std::string::npos) << errors_;
        write_tokenizer("model", {likeliest});
        write("model/chat_template.jinja", template_with(word(likeliest)));
        EXPECT_EQ(answers(word(asked) + "\n", greedy), Lines{""});
        EXPECT_EQ(errors_.find("ended by"), std::string::npos) << errors_;
        return;
    }
    FAIL() << "no prompt that two words follow";
}

TEST_F(ConversationCommand, TakesAnotherTemplate) {
    write("other.jinja", template_with("="));
    Lines more = kSampled;
    more.insert(more.end(), {"--chat-template", path("other.jinja")});
    Lines const made = answers("w10\nw11\n", more);
    ASSERT_EQ(made.size(), 2U);
    EXPECT_EQ(made[1], completed("<s> w10 = " + made[0] + " = w11 ="));
}

TEST_F(ConversationCommand, MistakesAreOneLine) {
    std::string const one_of =
        "--prompt, --prompts, --chat: legal: one of them: --prompt TEXT, --prompts FILE or --chat";
    expect_refused(talk("w10\n", {"--chat", "--prompts", path("input")}), one_of);
    expect_refused(talk("w10\n", {"--chat", "--prompt", "w10"}), one_of);
    expect_refused(talk("w10\n", {"--chat-template", path("none.jinja")}),
                   "--chat-template: " + path("none.jinja") + ": legal: a file with a template");
    expect_refused(talk("/wrong\n"), "standard input:1: /wrong: legal: /system TEXT, /reset");
    expect_refused(talk("\n\xff\n"), "standard input:2: legal: text in UTF-8");
    expect_refused(talk("w1 w1 w1 w1 w1 w1 w1 w1 w1 w1 w1 w1 w1 w1 w1\n"),
                   "standard input:1: the conversation: prompt: 17 tokens: legal: 1 to 16, the "
                   "positions of the model");
    EXPECT_EQ(talk("w10\n", {}, 2).exit_code, 2);
    EXPECT_NE(errors_.find("--chat: 2 ranks: legal: 1, which talks to the terminal"),
              std::string::npos)
        << errors_;
    fs::remove(path("model/chat_template.jinja"));
    expect_refused(talk("w10\n"), path("model") + ": no chat_template in tokenizer_config.json");
}

TEST_F(ConversationCommand, WhatIsNoLanguageModelIsRefused) {
    fs::remove_all(path("model"));
    make_model("bert", "model");
    write("model/chat_template.jinja", template_with("</s>"));
    expect_refused(talk("w10\n"), "is a bert encoder; legal: ");
}

TEST_F(ConversationCommand, OneOfThreeWaysIsAsked) {
    Outcome const none = run_command(trireme(0, {"generate", path("model")}));
    EXPECT_EQ(none.exit_code, 2);
    EXPECT_NE(none.output.find("--prompt, --prompts, --chat: legal: one of them"),
              std::string::npos)
        << none.output;
    Outcome const alone = run_command(
        trireme(0, {"generate", path("model"), "--prompt", "w10", "--chat-template", "chatml"}));
    EXPECT_EQ(alone.exit_code, 2);
    EXPECT_NE(alone.output.find("--chat-template: legal with --chat only"), std::string::npos)
        << alone.output;
}

} // namespace
} // namespace trireme::test
