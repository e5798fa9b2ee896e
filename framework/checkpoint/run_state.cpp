#include "framework/checkpoint/run_state.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "data/json.hpp"
#include "framework/checkpoint/folder.hpp"

namespace trireme::framework::checkpoint {

namespace {

/// A weight that is frozen with all of its unit has neither moment.
void check_moments(Manifest const& manifest) {
    constexpr char const* kMoments[] = {"moment1", "moment2"};
    for (auto const& weight : manifest.tensors) {
        if (weight.kind != "weight") continue;
        bool const trained = std::ranges::any_of(
            kMoments, [&](char const* kind) { return manifest.find(kind, weight.name); });
        for (char const* kind : kMoments) {
            auto const* moment = manifest.find(kind, weight.name);
            if (trained &&
                (!moment || moment->shape != weight.shape || moment->dtype != weight.dtype))
                throw cluster::InputError(fmt::format(
                    "tensor {}/{}: missing, or of another shape or dtype than the weight", kind,
                    weight.name));
        }
    }
}

} // namespace

/// Throws InputError without saying that the keys are those of the state.
static RunState run_state_of(nlohmann::json const& state) {
    if (!state.contains("progress"))
        throw cluster::InputError("progress: missing; legal: an object");
    RunState read;
    read.progress = run::Progress::from_json(state.at("progress"));
    read.trajectory = data::member<std::string>(state, "trajectory");
    read.config = data::member<std::string>(state, "config");
    read.data = data::member<std::string>(state, "data");
    read.saved_at = data::member<std::string>(state, "saved_at");
    read.ranks = data::count(state, "ranks", 1);
    return read;
}

RunState read_run_state(Manifest const& manifest, std::string const& name) {
    if (!manifest.state.is_object())
        throw cluster::InputError("state: " + data::shown(manifest.state) + ": legal: an object");
    RunState read;
    try {
        read = run_state_of(manifest.state);
    } catch (cluster::InputError const& error) {
        throw cluster::InputError(std::string("state.") + error.what());
    }
    if (step_of(name) != read.progress.step)
        throw cluster::InputError(
            fmt::format("state.progress.step: {}: legal: the step of its folder, {}",
                        read.progress.step, name));
    check_moments(manifest);
    return read;
}

} // namespace trireme::framework::checkpoint
