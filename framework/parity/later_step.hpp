// Mistakes of a later step where the first is right.
#pragma once
#include <vector>

#include "framework/parity/hypotheses.hpp"

namespace trireme::framework::parity {

/// Looks for the first step that is wrong and tests hypotheses on it as on a run's first: on a run
/// that begins there with the reference's weights and moments if that one is wrong too, and else on
/// what the layout did after the steps before. Empty where no step is wrong, or nothing fits.
/// Collective as the laboratory's runner is.
std::vector<Cause> later_causes(Layout const& layout, Laboratory const& lab);

} // namespace trireme::framework::parity
