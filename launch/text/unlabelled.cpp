#include "launch/text/unlabelled.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "cluster/error.hpp"
#include "launch/text/lengths.hpp"
#include "launch/text/tasks/task.hpp"
#include "launch/text/tasks/texts.hpp"
#include "launch/text/tokenizer_config.hpp"

namespace trireme::launch::text {

using Json = nlohmann::json;

namespace {

constexpr char const* kStandardInput = "standard input";

/// Blanks alone have nothing to predict from.
bool is_there(Row const& row, bool paired) {
    return !is_blank(row.text) && !(paired && is_blank(row.pair));
}

Json to_json(data::Sample const& sample) {
    return {{"tokens", sample.tokens}, {"segments", sample.segments}, {"labels", sample.labels}};
}

std::int64_t checked_length(std::int64_t length, std::string const& folder) {
    std::int64_t const positions = positions_in_config(folder);
    if (length < 0 || length == 1 || (positions > 1 && length > positions))
        throw cluster::InputError(fmt::format(
            "--max-length: {}: legal: 2 or more{}; 0: the usual length", length,
            positions > 1
                ? fmt::format(", at most {}, the positions of {}/config.json", positions, folder)
                : ""));
    return length == 0 ? usual_length(folder) : length;
}

} // namespace

Json Unlabelled::begin(Json const& request) {
    if (request.contains("task"))
        o_.task = data::task_named(request["task"].get<std::string>(), "task").kind;
    if (request.contains("options"))
        o_.own = request["options"].get<std::map<std::string, std::vector<std::string>>>();
    options_of_tasks().check(o_, "a model of");
    check_windows(o_);
    o_.columns = columns_of_texts(o_);
    o_.max_length = checked_length(request.at("length").get<std::int64_t>(), o_.tokenizer);
    tokenizer_ = std::make_unique<Tokenizer>(o_.tokenizer, text_task(o_).cuts() ? o_.max_length : 0,
                                             cuts_in_front(o_.tokenizer));
    return {{"length", o_.max_length}};
}

Json Unlabelled::open(Json const& request) {
    if (!tokenizer_) begin({{"length", 0}}); // nobody has asked for another
    if (!o_.columns.pair.empty()) check_pair(o_.tokenizer, o_.columns.pair, *tokenizer_);
    file_ = request.at("open").get<std::string>();
    text_task(o_).read_unlabelled(file_, o_, [&](Row&& row) { rows_.push_back(std::move(row)); });
    return {{"rows", rows_.size()}};
}

Json Unlabelled::next(std::int64_t most) {
    std::vector<Row> rows;
    for (; given_ < rows_.size() && std::ssize(rows) < most; ++given_)
        rows.push_back(std::move(rows_[given_]));
    return encoded(std::move(rows));
}

Json Unlabelled::encode(std::vector<std::string> const& texts) {
    static std::string const source = kStandardInput;
    if (!tokenizer_) begin({{"length", 0}});
    if (text_task(o_).is_more_than_a_text())
        throw cluster::InputError(fmt::format(
            "--input: -: legal with a model of {}: a file, whose rows are more than a text",
            o_.task_name()));
    std::vector<Row> rows;
    for (auto const& text : texts) {
        rows.push_back({.text = text, .file = &source});
        rows.back().line = std::ssize(rows);
    }
    return encoded(std::move(rows));
}

Json Unlabelled::encoded(std::vector<Row>&& rows) {
    Json answer{{"texts", Json::array()},   {"pairs", Json::array()}, {"sources", Json::array()},
                {"windows", Json::array()}, {"words", Json::array()}, {"places", Json::array()},
                {"cut", Json::array()}};
    bool const paired = !o_.columns.pair.empty() || text_task(o_).is_more_than_a_text();
    std::vector<Waiting> some;
    for (auto& row : rows) {
        answer["texts"].push_back(row.text);
        if (paired) answer["pairs"].push_back(row.pair);
        answer["sources"].push_back(SampleSink::source_of(row));
        for (auto const* list : {"windows", "words", "places"})
            answer[list].push_back(Json::array());
        answer["cut"].push_back(false);
        if (is_there(row, paired)) some.push_back({std::move(row), ""});
    }
    add_samples(some, answer);
    return answer;
}

/// Leaves the samples of rows that have none empty.
void Unlabelled::add_samples(std::vector<Waiting> const& rows, Json& answer) {
    if (rows.empty()) return;
    auto const texts = text_task(o_).unlabelled(rows, o_, *tokenizer_);
    std::size_t at = 0;
    for (std::size_t i = 0; i < rows.size(); ++i, ++at) {
        while (answer["sources"][at] != SampleSink::source_of(rows[i].row)) ++at;
        for (auto const& window : texts[i].windows)
            answer["windows"][at].push_back(to_json(window));
        answer["words"][at] = texts[i].words;
        answer["places"][at] = texts[i].word_places;
        answer["cut"][at] = texts[i].cut;
    }
}

} // namespace trireme::launch::text
