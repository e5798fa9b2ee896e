// Names that keys had in the version before this one. They are taken for one version, so that
// configurations, runs and checkpoints of before go on.
#pragma once
#include <yaml-cpp/yaml.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "framework/config/config.hpp"

namespace trireme::framework::config {

/// Returns the name that `key` ("section.name") has now, if it had another one before.
std::optional<std::string> new_name_of(std::string_view key);

/// Gives keys of the version before the names that they have now; `assigned` says where nodes come
/// from that `file` does not have. Returns a line for each. Throws InputError where both names are
/// given.
std::vector<std::string> renew_keys(YAML::Node root, std::string const& file, Origins& assigned);

} // namespace trireme::framework::config
