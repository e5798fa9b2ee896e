// Inputs of a run, opened and checked in one place: by the trainer, the dry run and `submit`.
#pragma once
#include <cstdint>
#include <memory>

#include "data/loader.hpp"
#include "data/mixture.hpp"
#include "framework/config/config.hpp"
#include "framework/inputs/validation_prompts.hpp"
#include "framework/model/config.hpp"
#include "framework/run/disk_room.hpp"

namespace trireme::framework::inputs {

/// Data sets and model of a run, checked against each other.
struct Inputs {
    std::unique_ptr<data::Dataset> train;
    /// what is in `train` if that is a mixture; else null
    data::Mixture const* mixture = nullptr;
    /// null: the data have none, and the run is not evaluated
    std::unique_ptr<data::Dataset> validation;
    model::Config model;
    std::int64_t steps = 0; ///< steps of the whole run
    /// general text whose loss is followed; null: none
    std::unique_ptr<data::Dataset> general = nullptr;
    ValidationPrompts prompts = {}; ///< completed at each evaluation
};

/// Fails before memory is taken for weights: data of another task, a sample the model has no
/// positions for. Throws InputError. Local.
Inputs open_inputs(config::Config const& config);

/// Compares the disk with what the run still has to write, as its newest checkpoint says. Local.
run::DiskRoom checkpoint_room(config::Config const& config, Inputs const& inputs);

/// Refuses what a run refuses at its start and open_inputs does not look at: weights that do not
/// fit the model, unless the run goes on from a checkpoint, and a disk without room. Throws
/// InputError. Local.
void check_start(config::Config const& config, Inputs const& inputs, run::DiskRoom const& room);

} // namespace trireme::framework::inputs
