// Sections `train`, `checkpoint`, `guard` and `job` of a run's configuration.
#pragma once
#include <array>
#include <cstdint>
#include <string>

#include "data/class_weights.hpp"

namespace trireme::framework::run {

struct TrainSection {
    double epochs = 1; ///< steps = floor(epochs * samples / global) unless steps is given
    std::int64_t steps = 0;
    data::ClassWeights class_weights = {}; ///< classification: factors of the loss of each class
    /// factor of the divergence KL(base || model) of each trained token, which is added to its
    /// loss; the base is the model as training begins; 0: none
    double base_divergence = 0;
    bool dynamics = false; ///< keep what each step found of each of its samples (dynamics_log.hpp)
};
struct CheckpointSection {
    std::int64_t every = 0; ///< steps; 0: only when told to stop and at the end
    double minutes = 0;     ///< since the last save; 0: never for this reason
    int keep_last = 2;
    bool keep_best = true;
    std::int64_t keep_every = 0; ///< steps: multiples of it are never removed; 0: none
    bool async = true;           ///< write while training goes on, from a copy in host memory
};
/// Chooses a reaction to a step whose loss or gradient norm is not finite.
enum class NonFinite : std::uint8_t { stop, skip, rollback };
/// When a run is rehearsed (sensitivity.hpp); automatic: where it costs little.
enum class Rehearse : std::uint8_t { off, automatic, always };
/// Chooses what is done when a run begins to overfit (overfitting.hpp).
enum class Overfitting : std::uint8_t { off, warn, stop };
/// Says what a run does about faults, and about what its training does to the model.
struct GuardSection {
    double deadline = 600; ///< seconds that a collective may take
    /// stop | skip | rollback: a step whose loss or gradient norm is not finite
    NonFinite non_finite = NonFinite::stop;
    /// steps that may be left out, over the whole run, before it stops
    int most_skips = 10;
    /// a loss above this many times the median of the last 50 is treated so too; 0: off
    double spike = 0;
    /// steps between comparisons of the replicas' weights; 0: never
    std::int64_t compare_replicas = 100;
    Rehearse sensitivity = Rehearse::automatic;
    Overfitting overfitting = Overfitting::warn;
    /// a folder that `trireme prepare` wrote: general text, whose loss is followed; empty: none
    std::string general_data = {};
    /// rise of that loss over the one before training at which the run ends, in nats for a token;
    /// 0: it is followed only
    double max_forgetting = 0;
};
/// Limits what the jobs of a run may take.
struct JobSection {
    double minutes = 0;    ///< until the job's end; 0: as Slurm says, if it does
    double node_hours = 0; ///< over all jobs of the run; 0: no limit
    /// jobs in a row that may end without a step done before the next one refuses to start
    int attempts = 3;
    /// step at which a job evaluates, saves and ends, to be continued; 0: none before the run's end
    std::int64_t until_step = 0;
};

/// Names in configurations and messages, in the order of the values.
constexpr auto names_of(NonFinite) {
    return std::array{"stop", "skip", "rollback"};
}
constexpr auto names_of(Rehearse) {
    return std::array{"off", "auto", "always"};
}
constexpr auto names_of(Overfitting) {
    return std::array{"off", "warn", "stop"};
}

} // namespace trireme::framework::run
