// RUN/checkpoints: how a checkpoint becomes visible, which ones stay, what a killed job left
// behind. Local.
//
// step-N            a checkpoint, whole: it got this name by a rename, after all in it was synced
// step-N.partial    being written, or left by a job that ended while writing: never read
// step-N.former     what step-N was before it was saved again, until the new one has the name
// step-N.removed    being removed
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "framework/checkpoint/manifest.hpp"
#include "framework/run/checkpoint_names.hpp"

namespace trireme::framework::checkpoint {

/// Decides which checkpoints stay: the `last` newest, the best, and every one whose step is a
/// multiple of `every`.
struct KeepRules {
    int last = 2;
    bool best = true;
    std::int64_t every = 0; ///< 0: none for this reason
};

using run::checkpoint_name;
using run::list_checkpoints;
using run::step_of;

/// Returns the `names` (newest first) that the rules remove once `step` is saved. Checkpoints newer
/// than `step` are left over from before the run went back to an older one. They are not counted,
/// or a damaged one would push out a good one.
std::vector<std::string> surplus(std::vector<std::string> const& names, std::int64_t step,
                                 std::int64_t best_step, KeepRules const& rules);

/// Makes the folder, so that it survives a power loss, and removes what no job needs. For one
/// process, before it saves. Throws JobError.
void open_checkpoints(std::string const& folder);
/// The name under which a checkpoint is written.
std::string staging_path(std::string const& folder, std::int64_t step);
/// All rank files are in the staging folder and synced: adds whole.h5 and the manifest and gives
/// the checkpoint its name. Throws JobError; then nothing is left of it, and a former one of the
/// same step stands.
void commit(std::string const& folder, std::int64_t step, Manifest manifest);
/// The state of a checkpoint anew (it was evaluated, it was the last), its tensors as they are.
/// Throws JobError.
void renew_state(std::string const& folder, std::int64_t step, nlohmann::json state);
/// Throws JobError.
void remove_surplus(std::string const& folder, std::int64_t step, std::int64_t best_step,
                    KeepRules const& rules);

} // namespace trireme::framework::checkpoint
