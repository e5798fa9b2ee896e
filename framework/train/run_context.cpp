#include "framework/train/run_context.hpp"

#include <fmt/format.h>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "cluster/flight_record.hpp"
#include "cluster/gather.hpp"
#include "cluster/topology.hpp"
#include "framework/checkpoint/folder.hpp"
#include "framework/evaluation/overfitting.hpp"
#include "framework/inputs/staged_data.hpp"
#include "framework/parallelize/parallel_model.hpp"
#include "framework/pretrained/weights.hpp"

namespace trireme::framework::train {

namespace {

/// Checks all that can be refused before memory is taken or a file made, however long it takes.
inputs::Inputs checked_inputs(config::Config const& config, cluster::Communicator& world) {
    cluster::enter_phase("data/open");
    if (config.log.trace_steps > 0 && config.parallel.device == parallelize::Device::cuda)
        throw cluster::InputError(fmt::format(
            "log.trace_steps: {}: legal: 0 with parallel.device: cuda, whose host waits "
            "for nothing that a trace could show",
            config.log.trace_steps));
    inputs::Inputs in = inputs::open_inputs(config);
    cluster::check_writable_folder("run", config.run);
    if (checkpoint::list_checkpoints(config.run + "/checkpoints").empty())
        pretrained::check_weights(config.model, in.model);
    // Each node has its own copies to look at.
    int part = world.rank(), parts = world.size();
    if (!config.data.staged.empty()) {
        cluster::Topology const node = cluster::topology(world);
        part = node.local_rank;
        parts = node.local_size;
    }
    in.train->verify(part, parts);
    if (in.validation) in.validation->verify(part, parts);
    if (in.general) in.general->verify(world.rank(), world.size()); // never staged
    // One rank's view of the disk, or some would go on while others refuse.
    std::string const refusal = cluster::broadcast_bytes(
        world, world.rank() == 0 ? inputs::checkpoint_room(config, in).refusal() : "", 0,
        "run/room");
    if (!refusal.empty()) throw cluster::InputError(refusal);
    return in;
}

/// Copies nothing before what is read in its own place was found to be right.
std::string staged(config::Config& config, cluster::Communicator& world) {
    if (config.data.stage_to.empty()) return "";
    cluster::enter_phase("data/stage");
    inputs::open_inputs(config);
    return inputs::stage_data(config, world);
}

} // namespace

RunContext::RunContext(config::Config const& whole, cluster::Communicator& world,
                       run::JobLimits const& job)
    : config(whole), staging(staged(config, world)), limits(job),
      mesh(world, parallelize::mesh_shape(config.parallel, world.size())),
      inputs(checked_inputs(config, world)), shape{config.batch.global,
                                                   config.batch.tokens_per_micro_batch,
                                                   mesh.along(parallel::Axis::tensor).size()} {}

bool RunContext::due(std::int64_t every, std::int64_t otherwise) const {
    std::int64_t const interval = every > 0 ? every : otherwise;
    return interval > 0 && progress.step > 0 && progress.step % interval == 0;
}

bool RunContext::due_to_pause() const {
    std::int64_t const until = config.job.until_step;
    return until > 0 && progress.step >= until && progress.step < inputs.steps;
}

RunContext::EarlyEnd RunContext::early_reason() const {
    auto const& e = config.evaluation;
    auto const& guard = config.guard;
    auto const& general = progress.general;
    if (guard.max_forgetting > 0 && general.forgotten() > guard.max_forgetting)
        return {
            fmt::format("the loss on general text rose from {:.4f} before training to {:.4f} "
                        "(guard.max_forgetting: {}); {}",
                        general.before, general.last, guard.max_forgetting,
                        progress.best_step < 0
                            ? "no evaluation was below that: lower optimizer.learning_rate"
                            : fmt::format("the best below that is step {}", progress.best_step)),
            "raise guard.max_forgetting"};
    if (guard.overfitting == run::Overfitting::stop && progress.gap.overfits)
        return {fmt::format("it {} (guard.overfitting: stop)",
                            evaluation::overfitting_text(progress.gap)),
                "set guard.overfitting: warn"};
    if (e.patience > 0 && progress.evaluations_without_improvement >= e.patience)
        return {fmt::format("{} evaluations in a row without a better {} than {:.4f} of step {} "
                            "(evaluation.patience: {})",
                            progress.evaluations_without_improvement, e.metric, progress.best,
                            progress.best_step, e.patience),
                "raise evaluation.patience"};
    return {};
}

bool RunContext::is_over() const {
    return progress.step >= inputs.steps || !early_reason().why.empty();
}

std::string RunContext::early_end() const {
    if (!progress.finished || progress.step >= inputs.steps) return "";
    return fmt::format("ended early, at step {} of {}: {}", progress.step, inputs.steps,
                       early_reason().why);
}

std::chrono::milliseconds deadline_of(config::Config const& config) {
    return std::chrono::milliseconds(static_cast<std::int64_t>(config.guard.deadline * 1000));
}

} // namespace trireme::framework::train
