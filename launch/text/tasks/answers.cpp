#include "launch/text/tasks/answers.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "cluster/foreign_format.hpp"
#include "data/json.hpp"

namespace trireme::launch::text {

namespace {

using OrderedJson = nlohmann::ordered_json;

[[noreturn]] void refuse_answers(OrderedJson const& value, Row const& row,
                                 std::string const& name) {
    throw cluster::InputError(
        fmt::format("{}: {}: {}: legal: {{\"text\": [\"...\"], \"answer_start\": [0]}}, or a "
                    "list of {{\"text\": \"...\", \"answer_start\": 0}}",
                    place_of(row), name, data::shown(value)));
}

/// Characters of `context` from `from` on, as many as `text` has, for a message.
std::string standing_at(std::string const& context, std::vector<std::size_t> const& places,
                        std::int64_t from, std::int64_t characters) {
    auto const size = std::ssize(places) - 1;
    if (from < 0 || from >= size) return fmt::format("nothing, as it has {} characters", size);
    auto const to = std::min(size, from + characters);
    auto const first = places[static_cast<std::size_t>(from)];
    return fmt::format("\"{}\"", cluster::one_line(context.substr(
                                     first, places[static_cast<std::size_t>(to)] - first)));
}

/// Finds the answer where it says that it stands.
Answer placed(OrderedJson const& text, OrderedJson const& start, std::string const& context,
              std::vector<std::size_t> const& places, Row const& row, std::string const& name) {
    Answer answer{text.get<std::string>(), start.get<std::int64_t>()};
    auto const characters = std::ssize(places_of_characters(answer.text)) - 1;
    bool const inside = answer.start >= 0 && answer.start < std::ssize(places) - characters;
    answer.end = inside ? answer.start + characters : 0;
    if (characters > 0 && inside &&
        context.compare(places[static_cast<std::size_t>(answer.start)], answer.text.size(),
                        answer.text) == 0)
        return answer;
    if (is_blank(answer.text))
        throw cluster::InputError(
            fmt::format("{}: {}: an answer without text; legal: no answer at all where the context "
                        "has none",
                        place_of(row), name));
    auto const found = context.find(answer.text);
    auto const where = std::ranges::lower_bound(places, found) - places.begin();
    throw cluster::InputError(fmt::format(
        "{}: {}: \"{}\": answer_start {}: the context has there {}; legal: the character at which "
        "the answer begins, from 0{}",
        place_of(row), name, cluster::one_line(answer.text), answer.start,
        standing_at(context, places, answer.start, characters),
        found == std::string::npos ? "; the context has it nowhere"
                                   : fmt::format("; it first stands at {}", where)));
}

/// The questions of one paragraph.
class Squad {
  public:
    Squad(std::string const& file, std::function<void(Row&&)> const& each)
        : file_(file), each_(each) {}

    void read() {
        auto const json = data::parse_json<OrderedJson>(file_, cluster::read_file(file_));
        if (!json.is_object() || !json.contains("data"))
            throw cluster::InputError(file_ +
                                      ": no list \"data\" of articles; legal: a .json as SQuAD has "
                                      "it, or .jsonl with a question in each line");
        each_of(json, "data", "", [&](OrderedJson const& article, std::string const& path) {
            each_of(article, "paragraphs", path,
                    [&](OrderedJson const& paragraph, std::string const& at) {
                        std::string const context = text(paragraph, "context", at);
                        each_of(paragraph, "qas", at,
                                [&](OrderedJson const& question, std::string const& here) {
                                    add(question, context, here);
                                });
                    });
        });
    }

  private:
    [[noreturn]] void refuse(std::string const& path, std::string const& what) const {
        throw cluster::InputError(fmt::format("{}: {}: {}", file_, path, what));
    }
    template <typename Each>
    void each_of(OrderedJson const& object, std::string const& name, std::string const& path,
                 Each const& each) const {
        std::string const at = (path.empty() ? "" : path + ".") + name;
        if (!object.is_object() || !object.contains(name) || !object.at(name).is_array())
            refuse(at, "missing, or not a list; legal: a list, as SQuAD has it");
        for (std::size_t i = 0; i < object.at(name).size(); ++i)
            each(object.at(name)[i], fmt::format("{}[{}]", at, i));
    }
    std::string text(OrderedJson const& object, std::string const& name,
                     std::string const& path) const {
        if (!object.is_object() || !object.contains(name) || !object.at(name).is_string())
            refuse(path + "." + name, "missing, or not a text; legal: a text");
        return object.at(name).get<std::string>();
    }
    void add(OrderedJson const& question, std::string const& context, std::string const& path) {
        Row row{.text = text(question, "question", path), .pair = context, .file = &file_};
        row.line = ++number_;
        bool const impossible =
            question.contains("is_impossible") && question.at("is_impossible") == OrderedJson(true);
        OrderedJson answers = question.contains("answers") ? question.at("answers") : OrderedJson();
        if (impossible && answers.is_null()) answers = OrderedJson::array();
        if (impossible && !answers.empty())
            refuse(path, "is_impossible: true, with answers; legal: one of them");
        row.structured = {question.contains("id") ? question.at("id") : OrderedJson(), answers};
        each_(std::move(row));
    }

    std::string const& file_;
    std::function<void(Row&&)> const& each_;
    std::int64_t number_ = 0; ///< of the last question
};

} // namespace

std::vector<std::size_t> places_of_characters(std::string const& text) {
    std::vector<std::size_t> places;
    for (std::size_t i = 0; i < text.size(); ++i)
        if ((static_cast<unsigned char>(text[i]) & 0xC0U) != 0x80U) places.push_back(i);
    places.push_back(text.size());
    return places;
}

std::vector<Answer> answers_of(OrderedJson const& value, std::string const& context, Row const& row,
                               std::string const& name) {
    auto const places = places_of_characters(context);
    std::vector<Answer> answers;
    auto const add = [&](OrderedJson const& text, OrderedJson const& start) {
        if (!text.is_string() || !data::JsonKind<std::int64_t>::holds(start))
            refuse_answers(value, row, name);
        answers.push_back(placed(text, start, context, places, row, name));
    };
    auto const add_object = [&](OrderedJson const& one) {
        if (!one.is_object() || !one.contains("text") || !one.contains("answer_start"))
            refuse_answers(value, row, name);
        auto const &text = one.at("text"), &start = one.at("answer_start");
        if (text.is_array() && start.is_array() && text.size() == start.size())
            for (std::size_t i = 0; i < text.size(); ++i) add(text[i], start[i]);
        else
            add(text, start);
    };
    if (value.is_array())
        for (auto const& one : value) add_object(one);
    else
        add_object(value);
    return answers;
}

void read_squad(std::string const& file, std::function<void(Row&&)> const& each) {
    cluster::readable_size(file);
    cluster::refuse_foreign_format(file);
    Squad(file, each).read();
}

} // namespace trireme::launch::text
