#include "launch/text/tasks/tags.hpp"

#include <algorithm>

namespace trireme::launch::text {

namespace {

bool is_inside(Tag const& tag) {
    return tag.letter == 'I' || tag.letter == 'E';
}
bool goes_on(Tag const& tag, Tag const& next) {
    return (tag.letter == 'B' || tag.letter == 'I') && is_inside(next) && next.kind == tag.kind;
}

} // namespace

Tag tag_of(std::string const& text) {
    if (text == "O") return {'O', ""};
    static std::string const kLetters = "BIES";
    if (text.size() < 3 || text[1] != '-' || kLetters.find(text[0]) == std::string::npos) return {};
    return {text[0], text.substr(2)};
}

std::vector<WrongTag> repair(std::vector<std::string>& tags) {
    std::vector<WrongTag> wrong;
    auto const was = tags;
    auto const change = [&](std::size_t i, char letter, std::string what) {
        std::string const repaired = letter + tags[i].substr(1);
        wrong.push_back({i, std::move(what), repaired});
        tags[i] = repaired;
    };
    for (std::size_t i = 0; i < tags.size(); ++i) {
        Tag const tag = tag_of(tags[i]), before = i ? tag_of(tags[i - 1]) : Tag{};
        if (is_inside(tag) && !goes_on(before, tag))
            change(i, tag.letter == 'I' ? 'B' : 'S',
                   was[i] + (i ? " after " + was[i - 1] : " at the beginning"));
    }
    bool const with_ends = std::ranges::any_of(tags, [](auto const& text) {
        auto const letter = tag_of(text).letter;
        return letter == 'E' || letter == 'S';
    });
    for (std::size_t i = 0; with_ends && i < tags.size(); ++i) {
        Tag const tag = tag_of(tags[i]), next = i + 1 < tags.size() ? tag_of(tags[i + 1]) : Tag{};
        if ((tag.letter == 'B' || tag.letter == 'I') && !goes_on(tag, next))
            change(i, tag.letter == 'B' ? 'S' : 'E',
                   was[i] + (i + 1 < tags.size() ? " before " + was[i + 1] : " at the end"));
    }
    return wrong;
}

} // namespace trireme::launch::text
