// JSON from files that somebody else may have written: what is wrong is named by place or by field, on one line.
#pragma once
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "cluster/error.hpp"

namespace trireme::data {

inline constexpr int kDeepestJson = 64; ///< objects and lists in one another; libraries recurse into them

/// "PATH:LINE:COLUMN: not JSON: why"; `first_line` as for parse_json. Throws InputError.
[[noreturn]] void refuse_json(std::string const& path, std::string_view text, std::int64_t first_line,
                              nlohmann::json::exception const& error);

/// `first_line`: of the file, if the text is a line of its own there; 0 for the whole file. Throws InputError also for
/// a key given twice in an object, since the later one would silently win, and for nesting deeper than kDeepestJson.
template <typename Json = nlohmann::json>
Json parse_json(std::string const& path, std::string_view text, std::int64_t first_line = 0) {
    using Event = typename Json::parse_event_t;
    std::string const where = first_line ? fmt::format("{}:{}", path, first_line) : path;
    std::vector<std::set<std::string>> keys;
    auto const check = [&](int depth, Event event, Json& value) {
        if (depth > kDeepestJson)
            throw cluster::InputError(
                fmt::format("{}: nested deeper than the {} levels that are legal", where, kDeepestJson));
        if (event == Event::object_start) keys.emplace_back();
        if (event == Event::object_end) keys.pop_back();
        if (event == Event::key && !keys.back().insert(value.template get<std::string>()).second)
            throw cluster::InputError(fmt::format("{}: key \"{}\" is given twice in one object; legal: once", where,
                                                  value.template get<std::string>()));
        return true;
    };
    try {
        return Json::parse(text, check);
    } catch (nlohmann::json::exception const& error) {
        refuse_json(path, text, first_line, error);
    }
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
        return j.is_number_integer() && (!j.is_number_unsigned() || j.template get<std::uint64_t>() <= INT64_MAX);
    }
};
template <>
struct JsonKind<double> {
    static constexpr char const* name = "a number";
    static bool holds(auto const& j) { return j.is_number() && std::isfinite(j.template get<double>()); }
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
        return j.is_array() && std::ranges::all_of(j, [](auto const& x) { return JsonKind<std::int64_t>::holds(x); });
    }
};

/// Member `name` of an object. Throws InputError "NAME: missing; legal: KIND" or "NAME: VALUE: legal: KIND".
template <typename T, typename Json>
T member(Json const& object, std::string const& name) {
    if (!object.is_object() || !object.contains(name))
        throw cluster::InputError(fmt::format("{}: missing; legal: {}", name, JsonKind<T>::name));
    Json const& value = object.at(name);
    if (!JsonKind<T>::holds(value))
        throw cluster::InputError(fmt::format("{}: {}: legal: {}", name, shown(value), JsonKind<T>::name));
    return value.template get<T>();
}

/// A whole number >= `least`.
template <typename Json>
std::int64_t count(Json const& object, std::string const& name, std::int64_t least = 0) {
    auto const value = member<std::int64_t>(object, name);
    if (value < least)
        throw cluster::InputError(fmt::format("{}: {}: legal: a whole number >= {}", name, value, least));
    return value;
}

/// A list that member `name` must be.
inline nlohmann::json const& list(nlohmann::json const& object, std::string const& name) {
    if (!object.is_object() || !object.contains(name) || !object.at(name).is_array())
        throw cluster::InputError(name + ": missing, or not a list; legal: a list");
    return object.at(name);
}

} // namespace trireme::data
