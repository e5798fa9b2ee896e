#include "framework/train/same_run.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace trireme::framework::train {

std::string trajectory_yaml(config::Config config) {
    config::Config const defaults;
    config.run.clear();
    config.model.path.clear(); // matters for the first weights only, and folders move
    config.data.path.clear();  // the data's own fingerprint is compared
    for (auto& source : config.data.train.sources) {
        source.path.clear();
        source.max_epochs = 0; // refuses a run and changes none
    }
    config.data.stage_to.clear();
    config.data.remove_staged = false;
    config.parallel = defaults.parallel;
    config.numerics.threads = 0;
    config.train.dynamics = false;
    config.evaluation = defaults.evaluation;
    config.checkpoint = defaults.checkpoint;
    config.guard = defaults.guard;
    config.job = defaults.job;
    config.log = defaults.log;
    return config::to_yaml(config);
}

void check_same_run(checkpoint::RunState const& state, config::Config const& config,
                    std::string const& data_fingerprint) {
    auto changed = config::differences(state.trajectory, trajectory_yaml(config));
    if (!changed.empty() &&
        // it may be given more epochs; Trainer compares its step with them
        state.progress.finished) {
        config::Config longer = config;
        auto const old =
            config::parse_config(state.config, config.run + "/checkpoints: state.config", {}).train;
        longer.train.epochs = old.epochs;
        longer.train.steps = old.steps;
        if (config::differences(state.trajectory, trajectory_yaml(longer)).empty()) changed.clear();
    }
    if (!changed.empty())
        throw WrongRun(fmt::format(
            "{}: the run folder holds a run of another configuration ({}); choose another `run`, "
            "or give back the old values (its configuration is in {}/config.yaml); to train on "
            "from its "
            "weights in another `run`: model.path: a folder that `trireme export --run {}` made",
            config.run, fmt::join(changed, ", "), config.run, config.run));
    if (state.data != data_fingerprint)
        throw WrongRun(fmt::format("{}: the run was made with other data than {} holds now; choose "
                                   "another `run`, or name the old data by data.path",
                                   config.run, config.data.path));
}

} // namespace trireme::framework::train
