#include "framework/config/old_keys.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "cluster/error.hpp"

namespace trireme::framework::config {

namespace {

struct Renamed {
    std::string_view before, now;
};
constexpr std::array kRenamed{
    Renamed{"batch.tokens_per_slot", "batch.tokens_per_micro_batch"},
};

/// Says, as one line, that `place` (FILE:LINE, --set, TRIREME_SET) calls `key` by its old name.
std::string old_name_note(std::string const& place, std::string const& key) {
    return fmt::format("{}: {} is called {} now; the next version will refuse the old name", place,
                       key, *new_name_of(key));
}

struct OldName {
    std::string section, name;
    YAML::Mark mark; ///< place of the key: a value that is left out has that of what comes next
};

/// Finds the keys of the tree that have another name now.
std::vector<OldName> old_names_in(YAML::Node const& root) {
    std::vector<OldName> old;
    for (auto const& section : root)
        if (section.first.IsScalar() && section.second.IsMap())
            for (auto const& entry : section.second)
                if (entry.first.IsScalar() &&
                    new_name_of(section.first.Scalar() + "." + entry.first.Scalar()))
                    old.push_back(
                        {section.first.Scalar(), entry.first.Scalar(), entry.first.Mark()});
    return old;
}

} // namespace

std::optional<std::string> new_name_of(std::string_view key) {
    auto const* const found = std::ranges::find(kRenamed, key, &Renamed::before);
    if (found == kRenamed.end()) return std::nullopt;
    return std::string(found->now);
}

std::vector<std::string> renew_keys(YAML::Node root, std::string const& file, Origins& assigned) {
    std::vector<std::string> notes;
    for (auto const& [section, name, mark] : old_names_in(root)) {
        std::string const key = section + "." + name, now = *new_name_of(key);
        YAML::Node inside = root[section];
        YAML::Node const value = std::as_const(inside)[name];
        if (!value) continue; // of a section that is given twice, which the reader refuses
        std::string const place =
            value.Mark().is_null() ? assigned.at(key) : fmt::format("{}:{}", file, mark.line + 1);
        std::string const last = now.substr(section.size() + 1);
        YAML::Node const newer = std::as_const(inside)[last];
        // An assignment of either name wins over the file, as it does where the names are the same.
        bool const overridden = newer && newer.Mark().is_null() && !value.Mark().is_null();
        bool const overrides = newer && !newer.Mark().is_null() && value.Mark().is_null();
        if (newer && !overridden && !overrides)
            throw cluster::InputError(
                fmt::format("{}: {} is the old name of {}, which is given too; legal: one of them",
                            place, key, now));
        inside.remove(name);
        notes.push_back(old_name_note(place, key));
        if (overridden) continue;
        inside[last] = value;
        assigned[now] = place; // where the key that was made here comes from
    }
    return notes;
}

} // namespace trireme::framework::config
