#include "framework/model/entities.hpp"

#include <algorithm>
#include <string_view>

namespace trireme::framework::model {

namespace {

/// "B-PER": B and PER. Without a dash the type is what follows the letter; "_" if nothing does.
struct Tag {
    char prefix = 'O';
    std::string_view type;
};
Tag tag_of(std::string_view label) {
    if (label.empty()) return {};
    std::size_t end = 1; // of the first character, which has several bytes outside of ASCII
    while (end < label.size() && (static_cast<unsigned char>(label[end]) & 0xc0U) == 0x80U) ++end;
    std::string_view type = label.substr(end);
    if (auto const dash = type.find('-'); dash != std::string_view::npos)
        type = type.substr(dash + 1);
    return {label[0], type.empty() ? std::string_view("_") : type};
}

bool is_one_of(char prefix, std::string_view prefixes) {
    return prefixes.find(prefix) != std::string_view::npos;
}

bool ends_between(Tag const& before, Tag const& now) {
    if (is_one_of(before.prefix, "ES")) return true;
    if (is_one_of(before.prefix, "BI") && is_one_of(now.prefix, "BSO")) return true;
    return !is_one_of(before.prefix, "O.") && before.type != now.type;
}
bool begins_at(Tag const& before, Tag const& now) {
    if (is_one_of(now.prefix, "BS")) return true;
    if (is_one_of(before.prefix, "ESO") && is_one_of(now.prefix, "EI")) return true;
    return !is_one_of(now.prefix, "O.") && before.type != now.type;
}

} // namespace

std::vector<Entity> entities_of(std::span<std::string const> labels) {
    std::vector<Entity> found;
    Tag before{'O', ""};
    std::int64_t first = 0;
    for (std::int64_t i = 0; i <= std::ssize(labels); ++i) {
        Tag now; // what follows the text is of no entity
        if (i < std::ssize(labels)) now = tag_of(labels[static_cast<std::size_t>(i)]);
        if (ends_between(before, now)) found.push_back({std::string(before.type), first, i - 1});
        if (begins_at(before, now)) first = i;
        before = now;
    }
    return found;
}

std::vector<Entity> strict_entities_of(std::span<std::string const> labels, bool bioes) {
    std::vector<Entity> found;
    auto const count = std::ssize(labels);
    auto const tag = [&](std::int64_t i) { return tag_of(labels[static_cast<std::size_t>(i)]); };
    for (std::int64_t first = 0, end; first < count; first = end) {
        Tag const begin = tag(first);
        end = first + 1;
        if (!is_one_of(begin.prefix, bioes ? "BS" : "B")) continue;
        char last = begin.prefix;
        auto const goes_on = [&](Tag const& now) {
            return is_one_of(last, "BI") && now.type == begin.type &&
                   is_one_of(now.prefix, bioes ? "IE" : "I");
        };
        while (end < count && goes_on(tag(end))) last = tag(end++).prefix;
        if (!bioes || is_one_of(last, "SE"))
            found.push_back({std::string(begin.type), first, end - 1});
    }
    return found;
}

bool are_bioes(std::span<std::string const> names) {
    return std::ranges::any_of(
        names, [](auto const& name) { return is_one_of(tag_of(name).prefix, "SE"); });
}

} // namespace trireme::framework::model
