#include "framework/train/trainer.hpp"

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>

#include "cluster/counted.hpp"
#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "cluster/flight_record.hpp"
#include "cluster/gather.hpp"
#include "cluster/listing.hpp"
#include "cluster/topology.hpp"
#include "data/manifest.hpp"
#include "data/tokenizer_files.hpp"
#include "framework/parallelize/compute_device.hpp"
#include "framework/parallelize/layout_check.hpp"
#include "framework/parallelize/numerics.hpp"
#include "framework/pretrained/run_source.hpp"
#include "framework/pretrained/weights.hpp"
#include "framework/run/stop_signal.hpp"
#include "framework/tasks/task.hpp"
#include "framework/weights/weights_hash.hpp"

namespace trireme::framework::train {

namespace {

constexpr std::int64_t kStragglerSteps = 50;

double seconds_since(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::chrono::milliseconds deadline_of(config::Config const& config) {
    return std::chrono::milliseconds(static_cast<std::int64_t>(config.guard.deadline * 1000));
}

/// Checks all that can be refused before memory is taken or a file made, however long it takes.
inputs::Inputs checked_inputs(config::Config const& config, cluster::Communicator& world) {
    cluster::enter_phase("data/open");
    inputs::Inputs in = inputs::open_inputs(config);
    cluster::check_writable_folder("run", config.run);
    if (checkpoint::list_checkpoints(config.run + "/checkpoints").empty())
        pretrained::check_weights(config, in.model);
    in.train->verify(world.rank(), world.size());
    if (in.validation) in.validation->verify(world.rank(), world.size());
    // One rank's view of the disk, or some would go on while others refuse.
    std::string const refusal = cluster::broadcast_bytes(
        world, world.rank() == 0 ? inputs::checkpoint_room(config, in).refusal() : "", 0,
        "run/room");
    if (!refusal.empty()) throw cluster::InputError(refusal);
    return in;
}

/// Weights and two moments of the whole model.
std::int64_t state_bytes(std::vector<parallel::ParameterSpec> const& specs, std::size_t element) {
    std::int64_t bytes = 0;
    for (auto const& spec : specs)
        bytes += 3 * storage::elements_of(spec.shape) * static_cast<std::int64_t>(element);
    return bytes;
}

} // namespace

Trainer::Trainer(config::Config const& config, cluster::Communicator& world,
                 run::JobLimits const& limits, at::Device device)
    : config_(config), limits_(limits),
      mesh_(world, parallelize::mesh_shape(config.parallel, world.size())),
      inputs_(checked_inputs(config_, world)), shape_{config.batch.global,
                                                      config.batch.tokens_per_micro_batch,
                                                      mesh_.along(parallel::Axis::tensor).size()},
      model_(inputs_.model, mesh_, config_.parallel, config_.numerics, true, device),
      optimizer_(model_.store(), config.optimizer,
                 config_.parallel.offload == config::Offload::optimizer),
      gradient_norm_(model_.store(), mesh_),
      batches_(*inputs_.train, shape_, mesh_, config.seed, device, deadline_of(config)),
      sensitivity_(config_, inputs_.steps, model_, optimizer_, gradient_norm_, batches_),
      results_(device, shape_.samples, deadline_of(config)), evaluator_(model_, shape_),
      lock_(config_.run, world), log_(config.run, world.rank()),
      checkpoints_(config_, inputs_.train->fingerprint(), model_.store(), world),
      control_(config_, limits_,
               world.rank() == 0 ? run::read_job_history(config_.run) : run::JobHistory{},
               state_bytes(model_.specs(), at::elementSize(model_.store().master_dtype())), world) {
    // Nothing is said before all is checked: a mistake has its line for itself.
    notes_ = config_.notes;
    auto const note = [this](std::string const& line) { notes_.push_back(line); };
    if (auto const found = checkpoints_.resume(note)) {
        progress_ = *found;
        note(fmt::format("resumed at step {} of {}", progress_.step, inputs_.steps));
        if (progress_.finished) { // unless it was given more to do
            int const patience = config_.evaluation.patience;
            progress_.finished =
                progress_.step >= inputs_.steps ||
                (patience > 0 && progress_.evaluations_without_improvement >= patience);
            note(progress_.finished
                     ? fmt::format("the run is over; raise {} to go on",
                                   early_end().empty() ? "train.epochs or train.steps"
                                                       : "evaluation.patience")
                     : "the finished run goes on; its learning rate follows the schedule of the "
                       "new length");
        }
        log_.open();
        if (world.rank() == 0 && !pretrained::read_run_source(config_.run))
            pretrained::write_run_source(config_, inputs_.model);
    } else {
        std::ranges::for_each(
            pretrained::load_weights(config_, inputs_.model, model_.store()).notes(), note);
        log_.open();
        if (world.rank() == 0) {
            cluster::write_file(config_.run + "/config.yaml", config::to_yaml(config_));
            pretrained::write_run_source(config_, inputs_.model);
        }
    }
    if (!inputs_.validation)
        note(fmt::format("note: {} has no split \"{}\": nothing is evaluated", config_.data.path,
                         config_.data.validation));
    cluster::keep_flight_records(config_.run, world);
    model_.refresh();
    auto const micro_batches =
        data::plan_step(*inputs_.train, shape_, config_.seed, 0).micro_batches.size();
    auto const data_ranks = static_cast<std::size_t>(mesh_.data().size());
    for (auto const& line : parallelize::layout_notes(
             inputs_.model, mesh_.shape(), config_.parallel,
             static_cast<std::int64_t>((micro_batches + data_ranks - 1) / data_ranks)))
        note(line);
    if (auto const line = parallelize::device_note(device, inputs_.model, config_.numerics);
        !line.empty())
        note(line);
    if (micro_batches < data_ranks)
        note(fmt::format(
            "note: a step makes {} for {} data-parallel ranks, so that some idle; lower "
            "batch.tokens_per_micro_batch ({}) or raise batch.global ({})",
            cluster::counted(micro_batches, "micro-batch"), mesh_.data().size(),
            shape_.tokens_per_micro_batch, shape_.samples));
}

bool Trainer::due(std::int64_t every, std::int64_t otherwise) const {
    std::int64_t const interval = every > 0 ? every : otherwise;
    return interval > 0 && progress_.step > 0 && progress_.step % interval == 0;
}

bool Trainer::must_settle() const {
    return !results_.from_stream() || evaluation_due() || due(config_.checkpoint.every, 0) ||
           due(kStragglerSteps, 0) || due(config_.guard.compare_replicas, 0);
}

bool Trainer::evaluation_due() const {
    return progress_.evaluated_step != progress_.step &&
           (progress_.step >= inputs_.steps ||
            (inputs_.validation &&
             due(config_.evaluation.every, inputs_.train->size() / shape_.samples)));
}

bool Trainer::evaluate_and_judge() {
    cluster::enter_phase("evaluation");
    auto const start = std::chrono::steady_clock::now();
    validation_ = evaluator_.evaluate(*inputs_.validation);
    double const seconds = seconds_since(start);
    control_.evaluation_took(seconds);
    auto event = nlohmann::ordered_json{{"kind", "evaluation"},
                                        {"step", progress_.step},
                                        {"split", config_.data.validation},
                                        {"seconds", seconds}};
    event.update(validation_->to_json());
    log_.write(event);
    evaluation::Metric const& metric = evaluation::metric_named(
        config_.evaluation.metric, tasks::task_of(inputs_.validation->task().kind).findings(),
        "evaluation.metric");
    double const value = validation_->value(metric.name);
    bool const better =
        !std::isnan(value) &&
        (progress_.best_step < 0 || evaluation::is_better(metric, value, progress_.best));
    log_.say(fmt::format("step {}: validation {}{}", progress_.step, validation_->text(),
                         better ? fmt::format("  (best {} so far)", metric.name) : ""));
    progress_.evaluated_step = progress_.step;
    progress_.evaluations_without_improvement =
        better ? 0 : progress_.evaluations_without_improvement + 1;
    if (better) {
        progress_.best = value;
        progress_.best_step = progress_.step;
    }
    return better;
}

void Trainer::end_if_over(bool better) {
    int const patience = config_.evaluation.patience;
    progress_.finished = progress_.step >= inputs_.steps ||
                         (patience > 0 && progress_.evaluations_without_improvement >= patience);
    if (std::string const why = early_end(); !why.empty()) log_.say(why);
    if (progress_.finished || (better && config_.checkpoint.keep_best))
        save(progress_.finished ? "end" : "best");
}

std::string Trainer::early_end() const {
    if (!progress_.finished || progress_.step >= inputs_.steps) return "";
    auto const& e = config_.evaluation;
    return fmt::format("ended early, at step {} of {}: {} evaluations in a row without a better {} "
                       "than {:.4f} of step "
                       "{} (evaluation.patience: {})",
                       progress_.step, inputs_.steps, progress_.evaluations_without_improvement,
                       e.metric, progress_.best, progress_.best_step, e.patience);
}

void Trainer::save(char const* why) {
    cluster::enter_phase("checkpoint");
    lock_.check_held(mesh_.world());
    compare_replicas(); // what has gone bad must not be saved
    checkpoints_.save(progress_, why);
    control_.save_began();
    follow_saves();
}

void Trainer::follow_saves() {
    while (auto const ended = checkpoints_.poll()) {
        control_.save_took(ended->seconds);
        if (!ended->note.empty()) log_.say(ended->note);
        nlohmann::ordered_json event{
            {"kind", ended->error.empty() ? "checkpoint" : "checkpoint failed"},
            {"step", ended->step},
            {"why", ended->why},
            {"seconds", ended->seconds},
            {"stalled", ended->stalled}};
        if (!ended->error.empty()) {
            event["error"] = ended->error;
            log_.say(fmt::format("checkpoint of step {} not saved: {}", ended->step, ended->error));
        }
        log_.write(event);
    }
}

void Trainer::finish_saves() {
    try {
        checkpoints_.finish();
    } catch (...) {
        follow_saves();
        throw;
    }
    follow_saves();
}

void Trainer::renew_config_file() {
    std::string const path = config_.run + "/config.yaml", now = config::to_yaml(config_);
    if (mesh_.world().rank() != 0 || (cluster::is_there(path) && cluster::read_file(path) == now))
        return;
    std::string changed = "written anew";
    try {
        changed =
            fmt::format("{}", fmt::join(config::differences(cluster::read_file(path), now), ", "));
    } catch (cluster::InputError const&) {
        // It was missing or spoilt: nothing of it can be told.
    }
    cluster::write_file(path, now);
    log_.say(fmt::format("{}: {}", path, changed));
}

Outcome Trainer::run() {
    Outcome outcome;
    log_.say(fmt::format("{}, {} each, run folder {}",
                         cluster::counted(mesh_.world().size(), "rank"),
                         cluster::counted(at::get_num_threads(), "thread"), config_.run));
    if (auto const line = run::StopSignal::advice(); !line.empty()) log_.say(line);
    for (auto const& line : notes_) log_.say(line);
    if (auto const refusal = progress_.finished ? std::nullopt : control_.refusal(progress_.step)) {
        log_.say("not started: " + *refusal);
        outcome.exit_code = cluster::kHalted;
        return outcome;
    }
    announce_job();
    renew_config_file();
    while (!progress_.finished) {
        // The evaluation of a step may be due after a restart: the signal came between the step and
        // its evaluation.
        if (evaluation_due()) {
            end_if_over(inputs_.validation && evaluate_and_judge());
            continue;
        }
        if (progress_.leaves_out(progress_.cursor)) {
            if (settle() != run::Decision::good) continue;
            log_.write({{"kind", "left out"}, {"step", progress_.step}});
            go_on();
            continue;
        }
        if (sensitivity_.due(progress_.step)) {
            if (settle() != run::Decision::good) continue;
            rehearse();
        }
        auto const start = std::chrono::steady_clock::now();
        train_step();
        control_.step_took(seconds_since(start));
        if (!queued_) continue; // the step before took the run back
        if (must_settle() && settle() != run::Decision::good) continue;
        follow_saves();
        if (due(kStragglerSteps, 0)) report_stragglers();
        if (due(config_.guard.compare_replicas, 0)) compare_replicas();
        run::Orders const orders = control_.agree(evaluation_due());
        bool const told = orders.stop != run::StopReason::none || orders.save;
        if (told && settle() == run::Decision::rollback)
            continue; // it is told again after the next step
        if (orders.stop != run::StopReason::none) {
            save(orders.reason());
            finish_saves();
            log_.say(fmt::format("{}: saved at step {}; run the same command to continue",
                                 orders.reason(), progress_.step));
            outcome.exit_code = orders.exit_code();
            break;
        }
        if (due(config_.checkpoint.every, 0) || orders.save)
            save(orders.save ? "asked to" : "interval");
    }
    cluster::enter_phase("end");
    finish_saves();
    outcome.steps = progress_.step;
    outcome.validation = validation_;
    outcome.weights_sha256 = weights::weights_sha256(model_.specs(), model_.store(), mesh_);
    log_.write({{"kind", "end"},
                {"step", outcome.steps},
                {"why", early_end()},
                {"weights_sha256", outcome.weights_sha256},
                {"exit_code", outcome.exit_code}});
    return outcome;
}

Outcome train(config::Config const& config, cluster::Communicator& world,
              run::JobLimits const& limits) {
    cluster::set_call_deadline(world, deadline_of(config));
    parallelize::configure_numerics(config.numerics, cluster::topology(world).cores_per_rank);
    parallelize::ComputeDevice place(config.parallel, config.numerics, world, deadline_of(config));
    return Trainer(config, place.world(), limits, place.device()).run();
}

} // namespace trireme::framework::train
