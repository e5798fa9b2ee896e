#include "framework/verify/token_file.hpp"

#include <fmt/format.h>

#include <cmath>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "data/json.hpp"
#include "data/memory_dataset.hpp"
#include "framework/tasks/task.hpp"

namespace trireme::framework::verify {

namespace {

using Json = nlohmann::json;
using Row = std::vector<std::int64_t>;

constexpr std::size_t kShown = 60; ///< characters of a wrong value in a message
constexpr char const* kForm = R"({"input_ids": [[..], ..], "labels": [[..], ..] or [..]})";

std::string shown(Json const& value) {
    std::string text = value.dump(-1, ' ', true);
    if (text.size() > kShown) text.replace(kShown, std::string::npos, "...");
    return text;
}

[[noreturn]] void refuse(std::string const& path, std::string const& place,
                         std::string const& value, std::string const& legal) {
    throw cluster::InputError(fmt::format("{}: {}: {}: legal: {}", path, place, value, legal));
}

std::int64_t whole_number(std::string const& path, std::string const& place, Json const& value) {
    bool const fits =
        value.is_number_integer() &&
        (!value.is_number_unsigned() || value.get<std::uint64_t>() <= std::uint64_t{INT64_MAX});
    if (!fits) refuse(path, place, shown(value), "a whole number");
    return value.get<std::int64_t>();
}

Row row(std::string const& path, std::string const& place, Json const& value) {
    if (!value.is_array()) refuse(path, place, shown(value), "a list of whole numbers");
    Row numbers;
    for (std::size_t t = 0; t < value.size(); ++t)
        numbers.push_back(whole_number(path, fmt::format("{}[{}]", place, t), value[t]));
    return numbers;
}

Json const& list(std::string const& path, Json const& json, char const* key) {
    if (!json.contains(key))
        throw cluster::InputError(fmt::format("{}: {}: missing; legal: {}", path, key, kForm));
    if (!json[key].is_array() || json[key].empty())
        refuse(path, key, shown(json[key]), "a list, not empty");
    return json[key];
}

/// Legal: `least` to `end` - 1 and, for labels, -100.
void check_range(TokenFile const& file, std::string const& place, std::int64_t value,
                 std::int64_t end, bool label) {
    if ((value >= 0 && value < end) || (label && value == data::kIgnoredLabel)) return;
    refuse(file.path, place, std::to_string(value),
           fmt::format("{}0 to {}", label ? "-100 (ignored), " : "", end - 1));
}

void check_ids(TokenFile const& file, model::Config const& model) {
    for (std::size_t i = 0; i < file.ids.size(); ++i) {
        if (file.ids[i].size() > static_cast<std::size_t>(model.max_positions))
            refuse(file.path, fmt::format("input_ids[{}]", i),
                   fmt::format("{} tokens", file.ids[i].size()),
                   fmt::format("at most the {} positions of the model", model.max_positions));
        for (std::size_t t = 0; t < file.ids[i].size(); ++t)
            check_range(file, fmt::format("input_ids[{}][{}]", i, t), file.ids[i][t],
                        model.vocabulary, false);
    }
}

/// Returns a label below `end`, or one that is ignored, for each token.
Row labels_of_tokens(TokenFile const& file, std::size_t i, std::int64_t end) {
    std::string const place = fmt::format("labels[{}]", i);
    Row const labels = row(file.path, place, file.labels[i]);
    if (labels.size() != file.ids[i].size())
        refuse(file.path, place, fmt::format("{} labels", labels.size()),
               fmt::format("{}, one for each token of input_ids[{}]", file.ids[i].size(), i));
    for (std::size_t t = 0; t < labels.size(); ++t)
        check_range(file, fmt::format("{}[{}]", place, t), labels[t], end, true);
    return labels;
}

/// The first and the last token of an answer.
std::vector<std::int32_t> places_of(TokenFile const& file, std::size_t i) {
    std::string const place = fmt::format("labels[{}]", i);
    Row const places = row(file.path, place, file.labels[i]);
    if (places.size() != 2)
        refuse(file.path, place, fmt::format("{} places", places.size()),
               "2, the first and the last token of the answer");
    for (auto const value : places) check_range(file, place, value, std::ssize(file.ids[i]), true);
    return {places.begin(), places.end()};
}

/// Returns for each token the one that it must predict: the next, or where masked itself.
std::vector<std::int32_t> next_tokens(TokenFile const& file, std::size_t i,
                                      model::Config const& model) {
    Row const labels = labels_of_tokens(file, i, model.vocabulary);
    if (!model.causal) return {labels.begin(), labels.end()};
    std::vector<std::int32_t> shifted(labels.begin() + 1, labels.end());
    shifted.push_back(data::kIgnoredLabel);
    return shifted;
}

std::vector<std::int32_t> class_of(TokenFile const& file, std::size_t i,
                                   model::Config const& model) {
    std::string const place = fmt::format("labels[{}]", i);
    std::int64_t const label = whole_number(file.path, place, file.labels[i]);
    check_range(file, place, label, model.outputs(), true);
    return {static_cast<std::int32_t>(label)};
}

std::vector<float> numbers_of(TokenFile const& file, std::size_t i, model::Config const& model) {
    std::string const place = fmt::format("labels[{}]", i);
    Json const& entry = file.labels[i];
    Json const list = entry.is_array() ? entry : Json::array({entry});
    if (std::ssize(list) != model.outputs())
        refuse(file.path, place, fmt::format("{} numbers", list.size()),
               fmt::format("{}, one for each output of the model", model.outputs()));
    std::vector<float> numbers;
    for (auto const& value : list) {
        bool const fits =
            value.is_null() ||
            (value.is_number() && std::isfinite(static_cast<float>(value.get<double>())));
        if (!fits) refuse(file.path, place, shown(value), "a number that float32 holds, or null");
        numbers.push_back(value.is_null() ? data::kIgnoredValue
                                          : static_cast<float>(value.get<double>()));
    }
    return numbers;
}

namespace {

/// Returns labels that no loss depends on.
std::vector<std::int32_t> ignored(TokenFile const& file, std::size_t i, std::int64_t width) {
    return std::vector<std::int32_t>(file.ids[i].size() * static_cast<std::size_t>(width),
                                     data::kIgnoredLabel);
}

/// Returns the labels of the sequence for a column of whole numbers.
std::vector<std::int32_t> labels_for(data::TaskColumn const& column, TokenFile const& file,
                                     std::size_t i, model::Config const& model) {
    switch (column.values) {
    case data::Values::vocabulary: return next_tokens(file, i, model);
    case data::Values::labels: {
        if (column.per == data::Per::sample) return class_of(file, i, model);
        Row const labels = labels_of_tokens(file, i, model.outputs());
        return {labels.begin(), labels.end()};
    }
    case data::Values::places: return places_of(file, i);
    case data::Values::numbers: return ignored(file, i, column.width);
    case data::Values::reals: break;
    }
    return {};
}

} // namespace

data::Sample sample(TokenFile const& file, std::size_t i, model::Config const& model) {
    data::Sample sample{.tokens = {file.ids[i].begin(), file.ids[i].end()}, .segments = {}};
    for (auto const& column : tasks::read_by(model.head).columns)
        if (column.values == data::Values::reals)
            sample.reals[column.name] = numbers_of(file, i, model);
        else
            sample.labels[column.name] = labels_for(column, file, i, model);
    return sample;
}

} // namespace

std::int64_t TokenFile::tokens() const {
    std::size_t sum = 0;
    for (auto const& sequence : ids) sum += sequence.size();
    return static_cast<std::int64_t>(sum);
}

static void check_keys(std::string const& path, Json const& json) {
    if (!json.is_object())
        throw cluster::InputError(fmt::format("{}: not a JSON object; legal: {}", path, kForm));
    for (auto const& [key, value] : json.items())
        if (key != "input_ids" && key != "labels")
            throw cluster::InputError(
                fmt::format("{}: {}: unknown key; legal: {}, nothing padded", path, key, kForm));
}

TokenFile to_token_file(std::string const& path, Json const& json) {
    check_keys(path, json);
    TokenFile file{.path = path, .ids = {}, .labels = {}};
    Json const &ids = list(path, json, "input_ids"), &labels = list(path, json, "labels");
    if (labels.size() != ids.size())
        refuse(path, "labels", fmt::format("{} entries", labels.size()),
               fmt::format("{}, as input_ids", ids.size()));
    file.labels = labels;
    file.has_lists = labels[0].is_array();
    for (std::size_t i = 0; i < ids.size(); ++i) {
        std::string const place = fmt::format("input_ids[{}]", i);
        file.ids.push_back(row(path, place, ids[i]));
        if (file.ids.back().empty()) refuse(path, place, "[]", "at least one token");
        if (labels[i].is_array() != file.has_lists)
            refuse(path, fmt::format("labels[{}]", i), shown(labels[i]),
                   file.has_lists ? "a list, as labels[0]" : "a number, as labels[0]");
    }
    return file;
}

TokenFile read_token_file(std::string const& path) {
    std::string const text = cluster::read_file(path);
    return to_token_file(path, data::parse_json(path, text));
}

std::unique_ptr<data::Dataset> make_dataset(TokenFile const& file, model::Config const& model) {
    check_ids(file, model);
    std::vector<data::Sample> samples;
    for (std::size_t i = 0; i < file.ids.size(); ++i) samples.push_back(sample(file, i, model));
    auto set = data::make_memory_dataset(tasks::read_by(model.head).kind, std::move(samples),
                                         model.labels, model.vocabulary);
    std::int64_t trained = 0;
    for (std::int64_t i = 0; i < set->size(); ++i) trained += set->trained(i);
    if (trained == 0)
        throw cluster::InputError(fmt::format(
            "{}: labels: none is trained{}; legal: at least one that is not -100", file.path,
            model.head == model::HeadKind::language_model ? " (the first of a sequence never is)"
                                                          : ""));
    return set;
}

} // namespace trireme::framework::verify
