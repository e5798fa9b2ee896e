// Turns a list of layouts that pass and fail into a sentence that names parameters and the likely
// cause.
#pragma once
#include <string>
#include <vector>

#include "framework/parity/hypotheses.hpp"

namespace trireme::framework::parity {

struct LayoutOutcome {
    Layout layout;
    bool passed = true;
    bool hash_differs = false;
    std::string error; ///< exception that the layout threw, if any
};

/// Says in the fewest words which layouts fail: "every one of the 24 layouts with tensor > 1, none
/// of the 47 others".
std::string pattern_of(std::vector<LayoutOutcome> const& outcomes);

struct Diagnosis {
    std::string pattern;
    std::string specimen;      ///< name of the layout that was examined
    std::vector<Cause> causes; ///< most likely first; "unknown" if no hypothesis holds

    std::string message() const; ///< some lines for a terminal
};

/// Examines the simplest layouts that fail (at least one must). Runs some of them again.
Diagnosis diagnose(std::vector<LayoutOutcome> const& outcomes, Laboratory& lab);

} // namespace trireme::framework::parity
