// Tags of words that say where entities begin and end: B-PER I-PER O, or with E- and S- as well.
#pragma once
#include <string>
#include <vector>

namespace trireme::launch::text {

/// A tag as letter and kind: {'B', "PER"}. {'O', ""} for "O"; {0, ""} for what is no such tag.
struct Tag {
    char letter = 0;
    std::string kind;
};
Tag tag_of(std::string const& text);

/// The first tag that cannot stand where it does.
struct WrongTag {
    std::size_t place = 0;
    std::string what;     ///< "I-LOC after O"
    std::string repaired; ///< what it is taken as by those who take it
};

/// Repairs tags as most evaluations read them: an I- that follows no tag of its kind begins an
/// entity, so that the older form, where I- begins entities unless two touch, becomes the newer. In
/// rows that have E- or S- an entity must also end. Returns the wrong ones, as they were.
std::vector<WrongTag> repair(std::vector<std::string>& tags);

} // namespace trireme::launch::text
