// Names that keys had in the version before this one. They are taken for one version, so that
// configurations, runs and checkpoints of before go on.
#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace trireme::framework::config {

/// Returns the name that `key` ("section.name") has now, if it had another one before.
std::optional<std::string> new_name_of(std::string_view key);

/// Says, as one line, that `place` (FILE:LINE, --set, TRIREME_SET) calls `key` by its old name.
std::string old_name_note(std::string const& place, std::string const& key);

} // namespace trireme::framework::config
