// Reads YAML of plain values from files that may hold anything. No code but this folder and
// launch/site.cpp knows yaml-cpp.
#pragma once
#include <yaml-cpp/yaml.h>

#include <cstdint>
#include <string>

namespace trireme::framework::config {

inline constexpr std::int64_t kMostYamlBytes = 1 << 20; ///< most bytes of a configuration file

/// A value as people read it, and not as YAML 1.1 does: numbers are decimal (010 is refused, not 8;
/// so are 0x10, 1_000, 1:30, .inf), true and false may also be called yes and no, on and off. False
/// if `text` is no such value.
bool decode_plain(std::string const& text, std::string& value);
bool decode_plain(std::string const& text, bool& value);
bool decode_plain(std::string const& text, int& value);
bool decode_plain(std::string const& text, std::int64_t& value);
bool decode_plain(std::string const& text, std::uint64_t& value);
bool decode_plain(std::string const& text, double& value);

/// The tree of a text. `name`: of the text, in messages. Throws InputError "NAME:LINE: ..." for
/// what is not YAML, nested deeper than any configuration is, or has anchors and aliases, which can
/// stand for more than memory holds, tags, or a second document.
YAML::Node load_plain_yaml(std::string const& text, std::string const& name);

} // namespace trireme::framework::config
