#include "launch/text/field_path.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>

#include "data/json.hpp"

namespace trireme::launch::text {

namespace {

using OrderedJson = nlohmann::ordered_json;

constexpr std::string_view kDivide = ".[";

} // namespace

FieldPath::FieldPath(std::string name) : name_(std::move(name)), steps_(steps_of(name_)) {}

/// Returns none for a name without a way into a column, and for what is no path.
std::vector<FieldPath::Step> FieldPath::steps_of(std::string const& name) {
    std::vector<Step> steps;
    std::string_view rest = name;
    if (rest.find_first_of(kDivide) == std::string_view::npos) return {};
    for (bool after_dot = true; !rest.empty();) {
        if (!after_dot && rest.front() == '[') {
            auto const close = rest.find(']');
            if (close == std::string_view::npos) return {};
            std::string_view const digits = rest.substr(1, close - 1);
            std::int64_t element = -1;
            auto const [end, error] =
                std::from_chars(digits.data(), digits.data() + digits.size(), element);
            if (!digits.empty() &&
                (error != std::errc() || end != digits.data() + digits.size() || element < 0))
                return {};
            steps.push_back({"", element});
            rest.remove_prefix(close + 1);
        } else {
            auto const length = std::min(rest.find_first_of(kDivide), rest.size());
            if (!after_dot || length == 0) return {};
            steps.push_back({std::string(rest.substr(0, length))});
            rest.remove_prefix(length);
        }
        after_dot = !rest.empty() && rest.front() == '.';
        if (!after_dot) continue;
        rest.remove_prefix(1);
        if (rest.empty()) return {};
    }
    return steps;
}

bool FieldPath::many() const {
    return std::ranges::any_of(steps_,
                               [](auto const& s) { return s.field.empty() && s.element < 0; });
}

/// Writes the first `steps` of the path.
std::string FieldPath::shown(std::size_t steps) const {
    std::string text;
    for (std::size_t i = 0; i < steps; ++i)
        if (auto const& [field, element] = steps_[i]; !field.empty())
            text += (i ? "." : "") + field;
        else
            text += element < 0 ? "[]" : fmt::format("[{}]", element);
    return text;
}

FieldPath::Found FieldPath::find(OrderedJson const& row, std::string const& place) const {
    if (auto const found = row.find(name_); found != row.end()) return {*found, ""};
    if (steps_.empty() || !row.contains(steps_.front().field))
        return {nullptr, fmt::format("no field \"{}\"", name_)};
    return walk(row, 0, place);
}

FieldPath::Found FieldPath::walk(OrderedJson const& value, std::size_t step,
                                 std::string const& place) const {
    if (step == steps_.size()) return {value, ""};
    if (value.is_null()) return {};
    if (value.is_string() && looks_like_json(value.get_ref<std::string const&>()))
        return walk(json_in_text(fmt::format("{}: {}", place, shown(step)),
                                 value.get_ref<std::string const&>()),
                    step, place);
    return steps_[step].field.empty() ? walk_list(value, step, place)
                                      : walk_field(value, step, place);
}

FieldPath::Found FieldPath::walk_field(OrderedJson const& value, std::size_t step,
                                       std::string const& place) const {
    std::string const& field = steps_[step].field;
    if (!value.is_object())
        return {nullptr, fmt::format("{}: {} is {}, which has no field \"{}\"", name_, shown(step),
                                     data::shown(value), field)};
    auto const found = value.find(field);
    if (found == value.end())
        return {nullptr, fmt::format("{}: {} has no field \"{}\", but {}", name_, shown(step),
                                     field, names_of(value))};
    return walk(*found, step + 1, place);
}

FieldPath::Found FieldPath::walk_list(OrderedJson const& value, std::size_t step,
                                      std::string const& place) const {
    if (!value.is_array())
        return {nullptr, fmt::format("{}: {} is {}, which is no list", name_, shown(step),
                                     data::shown(value))};
    std::int64_t const element = steps_[step].element;
    if (element >= static_cast<std::int64_t>(value.size())) return {};
    if (element >= 0) return walk(value[static_cast<std::size_t>(element)], step + 1, place);
    Found all{OrderedJson::array(), ""};
    for (auto const& each : value) {
        Found found = walk(each, step + 1, place);
        if (!found.lacking.empty()) return found;
        all.value.push_back(std::move(found.value));
    }
    return all;
}

bool looks_like_json(std::string const& text) {
    auto const first = text.find_first_not_of(" \t\r\n");
    return first != std::string::npos && (text[first] == '[' || text[first] == '{');
}

OrderedJson json_in_text(std::string const& where, std::string const& text) {
    return data::parse_json<OrderedJson>(where, text);
}

std::string names_of(OrderedJson const& object) {
    std::vector<std::string> names;
    for (auto const& [key, value] : object.items()) names.push_back(key);
    std::ranges::sort(names);
    return names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", "));
}

} // namespace trireme::launch::text
