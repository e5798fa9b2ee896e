#include "framework/verify/token_file.hpp"

#include <fmt/format.h>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "data/json.hpp"
#include "data/memory_dataset.hpp"

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

void check_fit(TokenFile const& file, model::Config const& model) {
    for (std::size_t i = 0; i < file.ids.size(); ++i) {
        if (file.ids[i].size() > static_cast<std::size_t>(model.max_positions))
            refuse(file.path, fmt::format("input_ids[{}]", i),
                   fmt::format("{} tokens", file.ids[i].size()),
                   fmt::format("at most the {} positions of the model", model.max_positions));
        for (std::size_t t = 0; t < file.ids[i].size(); ++t)
            check_range(file, fmt::format("input_ids[{}][{}]", i, t), file.ids[i][t],
                        model.vocabulary, false);
    }
    for (std::size_t i = 0; i < file.token_labels.size(); ++i)
        for (std::size_t t = 0; t < file.token_labels[i].size(); ++t)
            check_range(file, fmt::format("labels[{}][{}]", i, t), file.token_labels[i][t],
                        model.vocabulary, true);
    for (std::size_t i = 0; i < file.sample_labels.size(); ++i)
        check_range(file, fmt::format("labels[{}]", i), file.sample_labels[i],
                    static_cast<std::int64_t>(model.labels.size()), true);
}

data::Sample sample(TokenFile const& file, std::size_t i) {
    data::Sample sample{.tokens = {file.ids[i].begin(), file.ids[i].end()}, .segments = {}};
    if (file.token_labels.empty()) {
        sample.labels[data::kClassLabel.name] = {static_cast<std::int32_t>(file.sample_labels[i])};
        return sample;
    }
    auto const& labels = file.token_labels[i];
    // what the token before must predict
    auto& shifted = sample.labels[data::kTokenLabels.name];
    shifted.assign(labels.begin() + 1, labels.end());
    shifted.push_back(data::kIgnoredLabel);
    return sample;
}

} // namespace

std::int64_t TokenFile::tokens() const {
    std::size_t sum = 0;
    for (auto const& sequence : ids) sum += sequence.size();
    return static_cast<std::int64_t>(sum);
}

TokenFile to_token_file(std::string const& path, Json const& json) {
    if (!json.is_object())
        throw cluster::InputError(fmt::format("{}: not a JSON object; legal: {}", path, kForm));
    for (auto const& [key, value] : json.items())
        if (key != "input_ids" && key != "labels")
            throw cluster::InputError(
                fmt::format("{}: {}: unknown key; legal: {}, nothing padded", path, key, kForm));
    TokenFile file{.path = path, .ids = {}, .token_labels = {}, .sample_labels = {}};
    Json const &ids = list(path, json, "input_ids"), &labels = list(path, json, "labels");
    if (labels.size() != ids.size())
        refuse(path, "labels", fmt::format("{} entries", labels.size()),
               fmt::format("{}, as input_ids", ids.size()));
    bool const per_token = labels[0].is_array();
    for (std::size_t i = 0; i < ids.size(); ++i) {
        auto const& tokens =
            file.ids.emplace_back(row(path, fmt::format("input_ids[{}]", i), ids[i]));
        if (tokens.empty())
            refuse(path, fmt::format("input_ids[{}]", i), "[]", "at least one token");
        std::string const place = fmt::format("labels[{}]", i);
        if (labels[i].is_array() != per_token)
            refuse(path, place, shown(labels[i]),
                   per_token ? "a list, as labels[0]" : "a number, as labels[0]");
        if (!per_token) {
            file.sample_labels.push_back(whole_number(path, place, labels[i]));
            continue;
        }
        auto const& own = file.token_labels.emplace_back(row(path, place, labels[i]));
        if (own.size() != tokens.size())
            refuse(path, place, fmt::format("{} labels", own.size()),
                   fmt::format("{}, one for each token of input_ids[{}]", tokens.size(), i));
    }
    return file;
}

TokenFile read_token_file(std::string const& path) {
    std::string const text = cluster::read_file(path);
    return to_token_file(path, data::parse_json(path, text));
}

std::unique_ptr<data::Dataset> make_dataset(TokenFile const& file, model::Config const& model) {
    check_fit(file, model);
    std::vector<data::Sample> samples;
    for (std::size_t i = 0; i < file.ids.size(); ++i) samples.push_back(sample(file, i));
    auto set =
        data::make_memory_dataset(file.token_labels.empty() ? data::TaskKind::classification
                                                            : data::TaskKind::language_modeling,
                                  std::move(samples), model.labels, model.vocabulary);
    std::int64_t trained = 0;
    for (std::int64_t i = 0; i < set->size(); ++i) trained += set->trained(i);
    if (trained == 0)
        throw cluster::InputError(fmt::format(
            "{}: labels: none is trained{}; legal: at least one that is not -100", file.path,
            file.token_labels.empty() ? "" : " (the first of a sequence never is)"));
    return set;
}

} // namespace trireme::framework::verify
