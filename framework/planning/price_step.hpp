// Prices steps of our own runs on a calibrated machine: the code that trains runs on the meta
// device, and each kernel and call that it asks for costs what was measured.
#pragma once
#include "framework/planning/block_times.hpp"
#include "framework/planning/layout_search.hpp"

namespace trireme::framework::planning {

/// Prices the parts of `request.model` on the machine's calibration with the layout and micro-batch
/// of `plan`. Local; takes no memory for weights or activations. Throws InputError where the
/// calibration lacks what such a step does, as another compute type.
BlockTimes price_blocks(SearchRequest const& request, OwnPlan const& plan);

} // namespace trireme::framework::planning
