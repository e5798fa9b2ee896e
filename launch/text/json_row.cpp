#include "launch/text/json_row.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "cluster/error.hpp"
#include "data/json.hpp"

namespace trireme::launch::text {

using OrderedJson = nlohmann::ordered_json;

char const* option_of(Columns const& columns, std::string const& name) {
    return name == columns.text   ? columns.text_option
           : name == columns.pair ? "--pair"
                                  : columns.value_option;
}

JsonRows::JsonRows(Columns const& columns, char const* of)
    : columns_(columns), of_(of), text_(columns.text), pair_(columns.pair),
      values_(columns.values.begin(), columns.values.end()),
      structured_(columns.structured.begin(), columns.structured.end()) {}

std::vector<FieldPath const*> JsonRows::paths() const {
    std::vector<FieldPath const*> paths;
    for (auto const* path : {&text_, &pair_})
        if (!path->name().empty()) paths.push_back(path);
    for (auto const& path : values_) paths.push_back(&path);
    for (auto const& path : structured_) paths.push_back(&path);
    return paths;
}

/// Labels may be words, numbers or truth values; text must be text.
std::string JsonRows::scalar(FieldPath const& path, OrderedJson const& value, bool any,
                             Row const& at) const {
    if (value.is_string()) return value.get<std::string>();
    // A whole number of more than 64 bits is a rounded one by now, and two classes may have become
    // one.
    bool const rounded = value.is_number_float() && std::abs(value.get<double>()) >= 0x1p53;
    if (any && !rounded && (value.is_number() || value.is_boolean())) return value.dump();
    throw cluster::InputError(fmt::format(
        "{}: {}: {}: legal: {}", place_of(at), path.name(), data::shown(value),
        any ? "a string, a truth value, or a number of at most 16 digits (longer ones as strings)"
            : "a string"));
}

/// A path that finds several texts makes one of them, in lines.
std::string JsonRows::text_of(FieldPath const& path, bool any, Row const& at,
                              OrderedJson const& fields) const {
    if (path.name().empty()) return {};
    auto const found = path.find(fields, place_of(at));
    if (!found.lacking.empty())
        throw cluster::InputError(
            fmt::format("{}: {}; legal: {} with a field of the {}: {}", place_of(at), found.lacking,
                        option_of(columns_, path.name()), of_, names_of(fields)));
    if (any && columns_.may_lack && found.value.is_null()) return {};
    if (!path.many() || fields.contains(path.name())) return scalar(path, found.value, any, at);
    std::string text;
    for (auto const& one : found.value)
        text.append(text.empty() ? "" : "\n").append(scalar(path, one, any, at));
    return text;
}

void JsonRows::fill(Row& row, OrderedJson const& fields) const {
    row.text = text_of(text_, false, row, fields);
    row.pair = text_of(pair_, false, row, fields);
    for (auto const& path : values_) row.values.push_back(text_of(path, true, row, fields));
    row.unlabelled = columns_.may_lack && std::ranges::any_of(row.values, is_blank);
    for (auto const& path : structured_)
        row.structured.push_back(path.find(fields, place_of(row)).value);
}

OrderedJson opened(Row const& row, std::string const& name, OrderedJson value) {
    if (!value.is_string() || !looks_like_json(value.get_ref<std::string const&>())) return value;
    return json_in_text(fmt::format("{}: {}", place_of(row), name),
                        value.get_ref<std::string const&>());
}

} // namespace trireme::launch::text
