#include <fmt/format.h>

#include <algorithm>

#include "cluster/error.hpp"
#include "launch/text/choices.hpp"
#include "launch/text/rows.hpp"

namespace trireme::launch::text {

using OrderedJson = nlohmann::ordered_json;

namespace {

constexpr char const* kPlace = "{choice}";

[[noreturn]] void refuse(Row const& row, std::string const& what) {
    throw cluster::InputError(place_of(row) + ": " + what);
}

struct Choices {
    std::vector<std::string> texts, names; ///< names: as ARC has them; none: letters
};

std::vector<std::string> texts_in(Row const& row, OrderedJson const& list) {
    std::vector<std::string> texts;
    if (list.is_array())
        for (auto const& text : list) {
            if (!text.is_string() || is_blank(text.get<std::string>())) break;
            texts.push_back(text.get<std::string>());
        }
    if (!list.is_array() || texts.size() != list.size() || texts.size() < 2)
        refuse(row, "choices: legal: a list of two or more texts");
    return texts;
}

Choices choices_of(Row const& row) {
    OrderedJson const given = opened(row, "choices", row.structured.at(0));
    if (!given.is_object()) return {texts_in(row, given), {}};
    if (!given.contains("text") || !given.contains("label"))
        refuse(row, "choices: legal: a list of texts, or {\"text\": [...], \"label\": [...]}");
    Choices choices{texts_in(row, given["text"]), texts_in(row, given["label"])};
    if (choices.names.size() != choices.texts.size())
        refuse(row, "choices: legal: as many labels as texts");
    return choices;
}

/// Finds a text among names, else letters, else the choices themselves.
std::size_t place_of_text(std::string const& answer, Choices const& choices) {
    auto const in = [&](std::vector<std::string> const& list) {
        return static_cast<std::size_t>(std::ranges::find(list, answer) - list.begin());
    };
    if (!choices.names.empty()) return in(choices.names);
    if (auto const place = in(choices.texts); place < choices.texts.size()) return place;
    bool const letter = answer.size() == 1 && answer[0] >= 'A' && answer[0] <= 'Z';
    return letter ? static_cast<std::size_t>(answer[0] - 'A') : choices.texts.size();
}

std::size_t right_of(Row const& row, Choices const& choices) {
    OrderedJson const& answer = row.structured.at(1);
    std::size_t place = choices.texts.size();
    if (answer.is_number_unsigned()) place = answer.get<std::size_t>();
    if (answer.is_string()) place = place_of_text(answer.get<std::string>(), choices);
    if (place >= choices.texts.size())
        refuse(row, fmt::format("answer: {}: legal: a place in the choices from 0 to {}, its "
                                "letter or label, or its text",
                                answer.dump(), choices.texts.size() - 1));
    return place;
}

} // namespace

nlohmann::json multiple_choice(nlohmann::json const& request, std::string const& folder,
                               Tokenizer const& tokenizer) {
    auto const file = request.at("choices").get<std::string>(),
               named = request.at("template").get<std::string>();
    PromptTemplate prompt{.before = "Question: {question}\nAnswer: ", .after = ""};
    if (!named.empty()) prompt = read_template(named, kPlace, "{question}");
    Columns const columns{.text = "question", .structured = {"choices", "answer"}};
    std::vector<ChoiceQuestion> questions;
    read_rows(file, columns, [&](Row&& row) {
        Choices choices = choices_of(row);
        std::map<std::string, std::string> const values{{"{question}", row.text}};
        std::size_t const right = right_of(row, choices);
        questions.push_back({filled(prompt.before, values), filled(prompt.after, values),
                             std::move(choices.texts), right, place_of(row)});
    });
    if (questions.empty())
        throw cluster::InputError(file + ": no rows; legal: one or more questions");
    return answer_of(questions, reader_for(request, folder, tokenizer), {});
}

} // namespace trireme::launch::text
