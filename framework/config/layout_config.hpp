// The configuration of a command that trains nothing: defaults, a model, and what `--set` says of
// layout and numbers.
#pragma once
#include <string>
#include <vector>

#include "framework/config/config.hpp"

namespace trireme::framework::config {

/// `allowed`: keys, or beginnings of keys that end with a dot, that `set` ("parallel.tensor=2") may
/// assign. `command`: in messages. Throws InputError.
Config layout_config(std::string const& command, std::vector<std::string> const& allowed,
                     std::vector<std::string> const& set, std::string const& model,
                     std::string const& task);

} // namespace trireme::framework::config
