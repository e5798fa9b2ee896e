#include "launch/text/tasks/sentence_parts.hpp"

#include <algorithm>

namespace trireme::launch::text {

namespace {

/// The end of a part that begins at `first` and whose classes count from `labelled`: before a word,
/// and if it can be before one that goes on no entity.
std::size_t end_of(Sentence const& s, std::size_t first, std::size_t labelled, std::size_t room) {
    if (s.size() - first <= room) return s.size();
    for (auto const* places : {&s.splits, &s.begins})
        for (std::size_t end = first + room; end > labelled; --end)
            if ((*places)[end]) return end;
    return first + room; // a word of more tokens than there is room for
}

} // namespace

data::Sample sample_of(Sentence const& s, Part const& part,
                       std::vector<std::int32_t> const& leading,
                       std::vector<std::int32_t> const& trailing) {
    data::Sample sample{.tokens = leading};
    auto& classes = sample.labels[data::kTokenClasses.name];
    classes.assign(sample.tokens.size(), data::kIgnoredLabel);
    for (std::size_t t = part.first; t < part.end; ++t) {
        sample.tokens.push_back(s.tokens[t]);
        classes.push_back(t < part.labelled ? data::kIgnoredLabel : s.classes[t]);
    }
    for (auto const token : trailing) sample.tokens.push_back(token);
    classes.resize(sample.tokens.size(), data::kIgnoredLabel);
    return sample;
}

std::vector<Part> parts_of(Sentence const& s, std::size_t room, std::size_t stride) {
    std::vector<Part> parts;
    for (std::size_t labelled = 0; labelled < s.size();) {
        std::size_t first = labelled - std::min(labelled, stride);
        while (first < labelled && !s.begins[first]) ++first;
        std::size_t const end = end_of(s, first, labelled, room);
        parts.push_back({first, labelled, end});
        labelled = end;
        while (labelled < s.size() && !s.begins[labelled]) ++labelled;
    }
    return parts;
}

} // namespace trireme::launch::text
