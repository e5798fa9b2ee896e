#include "launch/text/serve.hpp"

#include <pybind11/embed.h>
#include <pybind11/stl.h>

#include <cstring>

#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <tuple>

#include "cluster/error.hpp"
#include "data/json.hpp"
#include "launch/text/chat/chat.hpp"
#include "launch/text/choices.hpp"
#include "launch/text/pieces.hpp"
#include "launch/text/scores_source.hpp"
#include "launch/text/tokenizer.hpp"
#include "launch/text/unicode.hpp"
#include "launch/text/unlabelled.hpp"

namespace trireme::launch::text {

namespace {

namespace py = pybind11;
using Json = nlohmann::json;
using Texts = std::vector<std::string>;

/// Scores of scores.py.
class Scorer {
  public:
    Scorer() { py::exec(kScoresSource, scope_, scope_); }
    Json operator()(Json const& pairs) const {
        Json scores = Json::array();
        for (auto const& pair : pairs) {
            auto const [exact, f1, rouge_l] =
                scope_["score"](pair.at(0).get<std::string>(), pair.at(1).get<std::string>())
                    .cast<std::tuple<double, double, double>>();
            scores.push_back({{"exact_match", exact}, {"f1", f1}, {"rouge_l", rouge_l}});
        }
        return {{"scores", scores}};
    }

  private:
    py::dict scope_{py::arg("__builtins__") = py::module_::import("builtins")};
};

Json encode(Tokenizer const& tokenizer, Json const& request) {
    auto const prompts = request["prompts"].get<Texts>();
    if (!request.contains("completions")) return {{"prompts", tokenizer.encode_prompts(prompts)}};
    auto const completions = request["completions"].get<Texts>();
    if (completions.size() != prompts.size())
        return {{"error", "legal: as many completions as prompts"}};
    Json answer{
        {"prompts", Json::array()}, {"completions", Json::array()}, {"apart", Json::array()}};
    auto const texts = tokenizer.encode_prompted(prompts, completions),
               with_a_word = tokenizer.encode_prompted(prompts, Texts(prompts.size(), "a"));
    for (std::size_t i = 0; i < texts.size(); ++i) {
        answer["prompts"].push_back(texts[i].prompt);
        answer["completions"].push_back(texts[i].completion);
        bool const open = completions[i].empty() && !prompts[i].empty() &&
                          std::strchr(" \t\r\n", prompts[i].back());
        if (texts[i].apart || (open && with_a_word[i].apart)) answer["apart"].push_back(i);
    }
    return answer;
}

/// A conversation in which templates show what ends a turn.
constexpr char const* kOneTurn = R"({"name": "messages", "turns": [
{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]})";

/// Renders conversations. The template is read when it is chosen, or when the first one comes.
class ChatSession {
  public:
    ChatSession(std::string const& folder, Tokenizer const& tokenizer)
        : folder_(folder), tokenizer_(tokenizer) {}
    Json choose(std::string const& asked) {
        chat_.emplace(folder_, asked, tokenizer_.special_tokens());
        auto const row = data::parse_json<nlohmann::ordered_json>("turns", kOneTurn);
        static_cast<void>(chat_->prompt({{"messages", Json::array({row["turns"][0]})}}));
        return {{"stops", stops_in(row)}};
    }
    Json operator()(Json const& conversation) {
        if (!chat_) chat_.emplace(folder_, "", tokenizer_.special_tokens());
        std::string const text = chat_->prompt(conversation);
        return {{"rendered", text}, {"tokens", tokenizer_.encode_rendered({text}).front().tokens}};
    }

  private:
    /// Finds the tokens that end a turn in a rendered conversation. Returns none for a template
    /// that shows none, or that writes a turn otherwise than it asks for it.
    std::vector<std::int32_t> stops_in(nlohmann::ordered_json const& row) {
        std::vector<std::int32_t> stops;
        chat_->choose_form("messages", row);
        try {
            for (auto const& sample : chat_->render(row).samples)
                for (auto const& span : sample.trained)
                    if (auto const id = tokenizer_.id(span.stop)) stops.push_back(*id);
        } catch (cluster::InputError const&) {
            stops.clear();
        }
        return stops;
    }

    std::string const& folder_;
    Tokenizer const& tokenizer_;
    std::optional<Chat> chat_;
};

/// Answers what needs no state.
std::optional<Json> choices_for(Json const& request, std::string const& folder,
                                Tokenizer const& tokenizer) {
    if (request.contains("few_shot")) return few_shot(request, folder, tokenizer);
    if (request.contains("choices")) return multiple_choice(request, folder, tokenizer);
    if (request.contains("sentence_pairs")) return sentence_pairs(request, folder, tokenizer);
    return std::nullopt;
}

Json answer_to(Json const& request, Tokenizer const& tokenizer, Unlabelled& unlabelled,
               Scorer const& scorer, ChatSession& conversations) {
    if (request.contains("chat_template"))
        return conversations.choose(request["chat_template"].get<std::string>());
    if (request.contains("chat")) return conversations(request["chat"]);
    if (request.contains("length")) return unlabelled.begin(request);
    if (request.contains("open")) return unlabelled.open(request);
    if (request.contains("next")) return unlabelled.next(request["next"].get<std::int64_t>());
    if (request.contains("encode")) return unlabelled.encode(request["encode"].get<Texts>());
    if (request.contains("pieces")) return pieces_of(request, tokenizer);
    if (request.contains("prompts")) return encode(tokenizer, request);
    if (request.contains("decode"))
        return {{"texts", tokenizer.decode(
                              request["decode"].get<std::vector<std::vector<std::int32_t>>>())}};
    if (request.contains("score")) return scorer(request["score"]);
    return {{"error", "legal requests: prompts, decode, chat_template, chat, score, length, open, "
                      "next, encode, pieces, few_shot, choices, sentence_pairs"}};
}

} // namespace

void serve(std::string const& folder, std::istream& in, std::ostream& out) {
    std::optional<Tokenizer> opened;
    try {
        opened.emplace(folder, 0);
    } catch (cluster::InputError const& error) { // the other side reports it
        out << Json{{"error", error.what()}} << std::endl;
        return;
    }
    Tokenizer const& tokenizer = *opened;
    Unlabelled unlabelled(folder);
    Scorer const scorer;
    ChatSession conversations(folder, tokenizer);
    out << Json{{"vocabulary", tokenizer.vocabulary()}} << std::endl;
    for (std::string line; std::getline(in, line);) {
        Json answer;
        try {
            Json const request = data::parse_json<Json>("request", line);
            auto choices = choices_for(request, folder, tokenizer);
            answer = choices ? std::move(*choices)
                             : answer_to(request, tokenizer, unlabelled, scorer, conversations);
        } catch (cluster::InputError const& error) {
            answer = {{"refused", error.what()}};
        } catch (std::exception const& error) { // Python's too
            answer = {{"error", error.what()}};
        }
        out << answer.dump(-1, ' ', false, Json::error_handler_t::replace) << std::endl;
    }
}

} // namespace trireme::launch::text
