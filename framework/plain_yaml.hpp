// YAML of plain values, out of files that may hold anything. Only this, config.cpp and launch/site.cpp know yaml-cpp.
#pragma once
#include <yaml-cpp/yaml.h>

#include <cstdint>
#include <string>

namespace trireme::framework {

inline constexpr std::int64_t kMostYamlBytes = 1 << 20; ///< of a configuration file

/// The tree of a text. `name`: of the text, in messages. Throws InputError "NAME:LINE: ..." for what is not YAML,
/// nested deeper than any configuration is, or has anchors and aliases, which can stand for more than memory holds.
YAML::Node load_plain_yaml(std::string const& text, std::string const& name);

} // namespace trireme::framework
