// Parts of a model that training leaves as they are.
#pragma once
#include <string>

#include "framework/model/config.hpp"

namespace trireme::framework::model {

/// Does the name fit a pattern as those of files in a shell do (fnmatch, POSIX): * is any text, ?
/// any letter, [ab] one of these letters?
bool fits(std::string const& pattern, std::string const& name);
/// Does the name fit one of Config::frozen?
bool is_frozen(Config const& config, std::string const& name);

} // namespace trireme::framework::model
