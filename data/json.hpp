// JSON from files that somebody else may have written: what is wrong is named by place or by field,
// on one line.
#pragma once
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cluster/error.hpp"
#include "data/json_builder.hpp"

namespace trireme::data {

/// `first_line`: of the file, if the text is a line of its own there; 0 for the whole file. Takes a
/// time linear in the text. Throws InputError "PATH:LINE:COLUMN: not JSON: why", and also for a key
/// given twice in an object, since the later one would silently win, for nesting deeper than
/// kDeepestJson, and for a number that no double holds. A whole number of more than 64 bits becomes
/// a double: unless that is the same number, as 10^30 is in tokenizer_config.json, it is refused
/// with its place; in a file of lines, whose other fields are nobody's business, whoever reads the
/// field refuses it.
template <typename Json = nlohmann::json>
Json parse_json(std::string const& path, std::string_view text, std::int64_t first_line = 0) {
    JsonBuilder<Json> builder({path, text, first_line});
    Json::sax_parse(text, &builder);
    return std::move(builder.root);
}

/// A value as a message shows it: the beginning of a long one.
template <typename Json>
std::string shown(Json const& value) {
    constexpr std::size_t kMost = 60;
    std::string text = value.dump();
    if (text.size() > kMost) text.replace(kMost, std::string::npos, "...");
    return text;
}

template <typename T>
struct JsonKind; ///< what a person calls T, and whether a value is one: no conversion is ever made

template <>
struct JsonKind<std::string> {
    static constexpr char const* name = "a text";
    static bool holds(auto const& j) { return j.is_string(); }
};
template <>
struct JsonKind<bool> {
    static constexpr char const* name = "true or false";
    static bool holds(auto const& j) { return j.is_boolean(); }
};
template <>
struct JsonKind<std::int64_t> {
    static constexpr char const* name = "a whole number";
    static bool holds(auto const& j) {
        return j.is_number_integer() &&
               (!j.is_number_unsigned() || j.template get<std::uint64_t>() <= INT64_MAX);
    }
};
template <>
struct JsonKind<double> {
    static constexpr char const* name = "a number";
    static bool holds(auto const& j) {
        return j.is_number() && std::isfinite(j.template get<double>());
    }
};
template <>
struct JsonKind<std::vector<std::string>> {
    static constexpr char const* name = "a list of texts";
    static bool holds(auto const& j) {
        return j.is_array() && std::ranges::all_of(j, [](auto const& x) { return x.is_string(); });
    }
};
template <>
struct JsonKind<std::vector<std::int64_t>> {
    static constexpr char const* name = "a list of whole numbers";
    static bool holds(auto const& j) {
        return j.is_array() && std::ranges::all_of(j, [](auto const& x) {
                   return JsonKind<std::int64_t>::holds(x);
               });
    }
};

/// Member `name` of an object. Throws InputError "NAME: missing; legal: KIND" or "NAME: VALUE:
/// legal: KIND".
template <typename T, typename Json>
T member(Json const& object, std::string const& name) {
    if (!object.is_object() || !object.contains(name))
        throw cluster::InputError(fmt::format("{}: missing; legal: {}", name, JsonKind<T>::name));
    Json const& value = object.at(name);
    if (!JsonKind<T>::holds(value))
        throw cluster::InputError(
            fmt::format("{}: {}: legal: {}", name, shown(value), JsonKind<T>::name));
    return value.template get<T>();
}

/// A whole number >= `least`.
template <typename Json>
std::int64_t count(Json const& object, std::string const& name, std::int64_t least = 0) {
    auto const value = member<std::int64_t>(object, name);
    if (value < least)
        throw cluster::InputError(
            fmt::format("{}: {}: legal: a whole number >= {}", name, value, least));
    return value;
}

/// A list that member `name` must be.
inline nlohmann::json const& list(nlohmann::json const& object, std::string const& name) {
    if (!object.is_object() || !object.contains(name) || !object.at(name).is_array())
        throw cluster::InputError(name + ": missing, or not a list; legal: a list");
    return object.at(name);
}

} // namespace trireme::data
