// Reads what a checkpoint says of its run beside the tensors: one reader wherever a checkpoint is
// judged.
#pragma once
#include <cstdint>
#include <string>

#include "framework/checkpoint/manifest.hpp"
#include "framework/run/progress.hpp"

namespace trireme::framework::checkpoint {

struct RunState {
    run::Progress progress;
    std::string trajectory, config; ///< YAML: what decides the weights; the whole configuration
    std::string data;               ///< fingerprint
    std::string saved_at;           ///< UTC
    std::int64_t ranks = 0;
};

/// Checks all that does not depend on the run that goes on from it: types of the state, that the
/// folder `name` says the step, that every weight has its two moments. Throws InputError
/// "state.FIELD: VALUE: legal: KIND". Local.
RunState read_run_state(Manifest const& manifest, std::string const& name);

} // namespace trireme::framework::checkpoint
