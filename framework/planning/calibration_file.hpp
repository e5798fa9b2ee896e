// The part of a machine's file that `trireme calibrate` writes: tables, one measured value a line.
#pragma once
#include <string>

#include "framework/config/plain_yaml.hpp"
#include "framework/planning/calibration.hpp"

namespace trireme::framework::planning {

/// `node`: the mapping under the key `calibration` of `file`. Throws InputError "FILE:LINE: key:
/// value: legal: ..." for unknown, doubled and missing keys and for lines that are none of a table.
Calibration read_calibration(YAML::Node const& node, std::string const& file);

/// The text of what read_calibration reads, its key included.
std::string to_yaml(Calibration const& calibration);

} // namespace trireme::framework::planning
