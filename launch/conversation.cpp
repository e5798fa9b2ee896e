#include "launch/conversation.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <iostream>
#include <nlohmann/json.hpp>

#include "cluster/error.hpp"
#include "cluster/process.hpp"
#include "cluster/utf8.hpp"
#include "launch/shown_tokens.hpp"
#include "launch/text_service.hpp"

namespace trireme::launch {

namespace {

using SortedJson = nlohmann::json;

constexpr char const* kCommands =
    "/system TEXT: begin anew with this system message; /reset: begin anew; /quit: end\n";

class Conversation {
  public:
    Conversation(TextService& service, bool stream, Answerer const& answer)
        : service_(service), stream_(stream), answer_(answer) {}

    /// Takes a turn of the user or a command. Returns whether the conversation goes on.
    bool take(std::string const& line) {
        if (!cluster::is_utf8(line)) throw cluster::InputError("legal: text in UTF-8");
        if (line.find_first_not_of(" \t") == std::string::npos) return true;
        if (line.front() == '/') return command(line);
        turn(line);
        return true;
    }

  private:
    bool command(std::string const& line) {
        auto const blank = line.find(' ');
        std::string const name = line.substr(0, blank),
                          rest = blank == std::string::npos ? "" : line.substr(blank + 1);
        if (name != "/system" && !rest.empty())
            throw cluster::InputError(name + ": legal: nothing behind it");
        if (name == "/quit") return false;
        if (name == "/reset")
            begin(system_);
        else if (name == "/system")
            begin(rest);
        else if (name == "/help")
            cluster::say_text(kCommands);
        else
            throw cluster::InputError(name + ": legal: /system TEXT, /reset, /help, /quit; a blank "
                                             "in front of the / makes it a turn");
        return true;
    }

    /// An empty `system`: no such message.
    void begin(std::string const& system) {
        system_ = system;
        messages_ = SortedJson::array();
        if (!system.empty()) add(messages_, "system", system);
    }

    void turn(std::string const& line) {
        SortedJson messages = messages_;
        add(messages, "user", line);
        auto const asked = service_.ask({{"chat", {{"messages", messages}}}});
        ShownTokens shown(&service_, stream_);
        auto const answer = answer_(asked.at("tokens").get<std::vector<std::int32_t>>(),
                                    [&](std::int32_t token) { shown.add(token); });
        add(messages, "assistant", shown.end(answer.tokens));
        if (answer.ended_by != "stop") cluster::say("(ended by {})\n", answer.ended_by);
        messages_ = std::move(messages);
        cluster::finish_output(cluster::Reader::needed); // nobody is left to talk to
    }

    static void add(SortedJson& messages, char const* role, std::string const& content) {
        messages.push_back(SortedJson{{"role", role}, {"content", content}});
    }

    TextService& service_;
    bool stream_;
    Answerer const& answer_;
    std::string system_;
    SortedJson messages_ = SortedJson::array();
};

} // namespace

std::vector<std::int32_t> open_template(TextService& service, std::string const& asked) {
    return service.ask({{"chat_template", asked}}).at("stops").get<std::vector<std::int32_t>>();
}

void converse(TextService& service, bool stream, Answerer const& answer) {
    bool const terminal = isatty(STDIN_FILENO) != 0;
    if (terminal) cluster::say_text(kCommands);
    Conversation conversation(service, stream, answer);
    std::string line;
    for (int number = 1;; ++number) {
        if (terminal) cluster::say_text("> ");
        if (!std::getline(std::cin, line)) break;
        if (line.ends_with('\r')) line.pop_back();
        try {
            if (!conversation.take(line)) return;
        } catch (cluster::InputError const& error) {
            if (!terminal)
                throw cluster::InputError(
                    fmt::format("standard input:{}: {}", number, error.what()));
            cluster::say("{}\n", cluster::line_of(error));
        }
    }
    if (terminal) cluster::say_text("\n");
}

} // namespace trireme::launch
