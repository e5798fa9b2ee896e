#include "launch/text/choices.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "cluster/counted.hpp"
#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "data/json.hpp"
#include "data/micro_batch.hpp"
#include "data/tokenizer_files.hpp"

namespace trireme::launch::text {

using Json = nlohmann::json;

namespace {

constexpr char const* kBlanks = " \t\r\n";

std::size_t characters_of(std::string const& text) {
    return static_cast<std::size_t>(std::ranges::count_if(
        text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

[[noreturn]] void refuse_choice(ChoiceQuestion const& question, std::string const& choice) {
    throw cluster::InputError(fmt::format("{}: the choice \"{}\" has no token of its own; legal: a "
                                          "text",
                                          question.source, cluster::one_line(choice)));
}

Json continued(ChoiceQuestion const& question, std::string const& choice, PromptedText&& text) {
    if (text.prompt.empty())
        throw cluster::InputError(question.source + ": no token before the choice; legal: a text "
                                                    "in the template before it");
    if (text.completion.empty()) refuse_choice(question, choice);
    std::vector<std::int32_t> labels(text.prompt.size() - 1, data::kIgnoredLabel);
    labels.insert(labels.end(), text.completion.begin(), text.completion.end());
    text.prompt.insert(text.prompt.end(), text.completion.begin(), text.completion.end() - 1);
    return {{"tokens", std::move(text.prompt)}, {"labels", std::move(labels)}};
}

std::vector<Json> continuations(ChoiceQuestion const& question, ChoiceReader const& reader) {
    std::size_t const end = question.before.find_last_not_of(kBlanks) + 1;
    std::string const context = question.before.substr(0, end);
    std::vector<std::string> completions;
    for (auto const& choice : question.choices)
        completions.push_back(question.before.substr(end) + choice);
    auto texts = reader.tokenizer.encode_prompted(
        std::vector<std::string>(completions.size(), context), completions);
    std::vector<Json> samples;
    for (std::size_t i = 0; i < texts.size(); ++i)
        samples.push_back(continued(question, question.choices[i], std::move(texts[i])));
    return samples;
}

/// Hides the tokens that have a character of [first, end).
Json masked(Tokenizer::Plain&& text, std::size_t first, std::size_t end,
            ChoiceReader const& reader) {
    auto const &leading = reader.tokenizer.leading(), &trailing = reader.tokenizer.trailing();
    std::vector<std::int32_t> tokens = leading, labels(leading.size(), data::kIgnoredLabel);
    for (std::size_t t = 0; t < text.tokens.size(); ++t) {
        auto const [begins, ends] = text.places[t];
        bool const hidden = begins < end && ends > first;
        tokens.push_back(hidden ? reader.mask_token : text.tokens[t]);
        labels.push_back(hidden ? text.tokens[t] : data::kIgnoredLabel);
    }
    tokens.insert(tokens.end(), trailing.begin(), trailing.end());
    labels.resize(tokens.size(), data::kIgnoredLabel);
    return {{"tokens", std::move(tokens)}, {"labels", std::move(labels)}};
}

std::vector<Json> masked_texts(ChoiceQuestion const& question, ChoiceReader const& reader) {
    std::vector<std::string> texts;
    for (auto const& choice : question.choices)
        texts.push_back(question.before + choice + question.after);
    auto encoded = reader.tokenizer.encode_rendered(texts);
    std::size_t const first = characters_of(question.before);
    std::vector<Json> samples;
    for (std::size_t i = 0; i < texts.size(); ++i) {
        auto const& choice = question.choices[i];
        auto& sample = samples.emplace_back(
            masked(std::move(encoded[i]), first, first + characters_of(choice), reader));
        if (std::ranges::all_of(sample["labels"], [](auto const& x) { return x < 0; }))
            refuse_choice(question, choice);
    }
    return samples;
}

/// Reads a member that may be absent.
template <typename T>
T member_or(Json const& json, char const* name, T otherwise) {
    return json.contains(name) ? data::member<T>(json, name) : otherwise;
}

Json parsed_template(std::string const& file) {
    Json json = data::parse_json(file, cluster::read_file(file));
    if (!json.is_object()) throw cluster::InputError("legal: an object");
    for (auto const& [key, value] : json.items())
        if (key != "template" && key != "labels" && key != "separator")
            throw cluster::InputError(
                fmt::format("{}: legal: template, labels, separator", cluster::one_line(key)));
    return json;
}

/// Divides the text at the place of the choice.
void divide(std::string const& text, std::string const& place, PromptTemplate& t) {
    auto const at = text.find(place);
    if (at == std::string::npos || text.find(place, at + 1) != std::string::npos)
        throw cluster::InputError("template: legal: a text with one " + place);
    t.before = text.substr(0, at);
    t.after = text.substr(at + place.size());
}

void check_places(std::string const& text, std::string const& needed,
                  std::vector<std::string> const& allowed) {
    if (text.find(needed) == std::string::npos)
        throw cluster::InputError("template: legal: a text with " + needed);
    for (std::string const other : {"{text}", "{pair}", "{question}"})
        if (other != needed && text.find(other) != std::string::npos &&
            std::ranges::find(allowed, other) == allowed.end())
            throw cluster::InputError(
                fmt::format("template: {}: there is none here; legal: {}", other, needed));
}

} // namespace

std::vector<Json> samples_of(ChoiceQuestion const& question, ChoiceReader const& reader) {
    return reader.masked ? masked_texts(question, reader) : continuations(question, reader);
}

std::int64_t longest_of(std::vector<Json> const& samples) {
    std::size_t most = 0;
    for (auto const& sample : samples) most = std::max(most, sample.at("tokens").size());
    return static_cast<std::int64_t>(most);
}

PromptTemplate read_template(std::string const& file, std::string const& place,
                             std::string const& needed, std::vector<std::string> const& allowed) {
    try {
        Json const json = parsed_template(file);
        auto const text = data::member<std::string>(json, "template");
        PromptTemplate t;
        divide(text, place, t);
        check_places(text, needed, allowed);
        t.separator = member_or<std::string>(json, "separator", t.separator);
        if (!json.contains("labels")) return t;
        if (!json.at("labels").is_object())
            throw cluster::InputError("labels: legal: an object of a word for each label");
        for (auto const& [name, word] : json.at("labels").items())
            t.words[name] = data::member<std::string>(json.at("labels"), name);
        return t;
    } catch (cluster::InputError const& error) {
        std::string const what = error.what();
        throw cluster::InputError(what.starts_with(file) ? what : file + ": " + what);
    }
}

std::string filled(std::string const& text, std::map<std::string, std::string> const& values) {
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
        auto const found = std::ranges::find_if(values, [&](auto const& entry) {
            return text.compare(at, entry.first.size(), entry.first) == 0;
        });
        if (found == values.end()) {
            out += text[at++];
            continue;
        }
        out += found->second;
        at += found->first.size();
    }
    return out;
}

ChoiceReader reader_for(Json const& request, std::string const& folder,
                        Tokenizer const& tokenizer) {
    ChoiceReader reader{.tokenizer = tokenizer,
                        .folder = folder,
                        .room = request.at("room").get<std::int64_t>(),
                        .masked = request.at("masked").get<bool>()};
    if (!reader.masked) return reader;
    auto const mask = data::mask_token_of(folder);
    if (mask < 0)
        throw cluster::InputError(folder +
                                  "/tokenizer_config.json: mask_token: none; legal: the token that "
                                  "the model was trained to fill in, as in \"mask_token\": "
                                  "\"[MASK]\"");
    reader.mask_token = static_cast<std::int32_t>(mask);
    return reader;
}

Json answer_of(std::vector<ChoiceQuestion> const& questions, ChoiceReader const& reader,
               std::vector<std::string> const& labels) {
    Json answer{{"samples", Json::array()}, {"questions", Json::array()}, {"labels", labels}};
    for (auto const& question : questions) {
        auto samples = samples_of(question, reader);
        if (auto const longest = longest_of(samples); longest > reader.room)
            throw cluster::InputError(fmt::format(
                "{}: {} with its longest choice; legal: at most {}, the positions of "
                "{}/config.json",
                question.source, cluster::counted(longest, "token"), reader.room, reader.folder));
        for (auto& sample : samples) answer["samples"].push_back(std::move(sample));
        std::vector<std::size_t> bytes;
        for (auto const& choice : question.choices) bytes.push_back(choice.size());
        answer["questions"].push_back(
            {{"right", question.right}, {"bytes", bytes}, {"source", question.source}});
    }
    return answer;
}

} // namespace trireme::launch::text
