#include "framework/train/trainer.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <chrono>
#include <utility>

#include "cluster/counted.hpp"
#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "cluster/flight_record.hpp"
#include "cluster/topology.hpp"
#include "framework/inputs/staged_data.hpp"
#include "framework/parallelize/compute_device.hpp"
#include "framework/parallelize/layout_check.hpp"
#include "framework/parallelize/numerics.hpp"
#include "framework/pretrained/run_source.hpp"
#include "framework/run/job_history.hpp"
#include "framework/weights/weights_hash.hpp"

namespace trireme::framework::train {

namespace {

/// Weights, two moments and perhaps an average of the whole model.
std::int64_t state_bytes(parallelize::ParallelModel const& model, bool average) {
    auto const element = static_cast<std::int64_t>(at::elementSize(model.store().master_dtype()));
    std::int64_t bytes = 0;
    for (auto const& spec : model.specs())
        bytes += (average ? 4 : 3) * storage::elements_of(spec.shape) * element;
    return bytes;
}

/// Says how much of the model is not trained; empty if all of it is.
std::string frozen_note(std::vector<parallel::ParameterSpec> const& specs) {
    std::int64_t frozen = 0, all = 0;
    for (auto const& spec : specs) {
        all += storage::elements_of(spec.shape);
        if (!spec.trainable) frozen += storage::elements_of(spec.shape);
    }
    if (frozen == 0) return "";
    return fmt::format("optimizer.freeze: {} of {} parameters stay as they are", frozen, all);
}

/// RUN/config.yaml says what the run does from now on; what it said before goes into the log.
void renew_config_file(RunContext const& run, Reports& reports) {
    std::string const path = run.config.run + "/config.yaml", now = config::to_yaml(run.config);
    if (run.mesh.world().rank() != 0 ||
        (cluster::is_there(path) && cluster::read_file(path) == now))
        return;
    std::string changed = "written anew";
    try {
        changed =
            fmt::format("{}", fmt::join(config::differences(cluster::read_file(path), now), ", "));
        if (changed.empty()) changed = "keys by the names that they have now";
    } catch (cluster::InputError const&) {
        // It was missing or spoilt: nothing of it can be told.
    }
    cluster::write_file(path, now);
    reports.say(fmt::format("{}: {}", path, changed));
}

} // namespace

Trainer::Trainer(config::Config const& config, cluster::Communicator& world,
                 run::JobLimits const& limits, at::Device device,
                 evaluation::CompletionScorer scorer)
    : run_(config, world, limits),
      model_(run_.config, run_.inputs.model, run_.mesh, inputs::Purpose::training, device),
      optimizer_(model_.store(), config.optimizer,
                 config.parallel.offload == parallelize::Offload::optimizer,
                 run_.inputs.model.layers),
      gradient_norm_(model_.store(), run_.mesh),
      batches_(*run_.inputs.train, run_.shape, run_.mesh, config.seed, device, deadline_of(config)),
      sensitivity_(run_.config, run_.inputs.steps, model_, optimizer_, gradient_norm_, batches_),
      lock_(config.run, world),
      history_(world.rank() == 0 ? run::read_job_history(config.run) : run::JobHistory{}),
      control_({config.run, config.checkpoint, config.job}, limits, history_,
               state_bytes(model_, config.optimizer.ema_decay > 0), world),
      reports_(run_),
      dynamics_(config.train.dynamics && world.rank() == 0 ? config.run + "/dynamics.bin" : ""),
      trace_(config.log, config.run, about_trace(run_), world),
      validation_(run_, model_, reports_, std::move(scorer)),
      saves_(run_, model_, lock_, control_, reports_),
      ledger_(run_, model_, saves_, reports_, dynamics_, device) {
    batches_.weigh_classes(run_.inputs.model.class_weights);
    for (auto const& line : config.notes) reports_.note(line);
    if (!run_.staging.empty()) reports_.note(run_.staging);
    bool const resumed = saves_.resume([this](std::string const& line) { reports_.note(line); });
    reports_.take_history(history_);
    if (model_.base()) start_base();
    resumed ? take_up() : begin();
    dynamics_.open(run_.progress.step, run_.inputs.train->size());
    if (!run_.inputs.validation)
        reports_.note(fmt::format("note: {} has no split \"{}\": nothing is evaluated",
                                  config.data.path, config.data.validation));
    cluster::keep_flight_records(config.run, world);
    model_.refresh();
    note_layout(device);
}

void Trainer::begin() {
    for (auto const& line : model_.start_weights()) reports_.note(line);
    optimizer_.start_average();
    reports_.open();
    if (run_.mesh.world().rank() == 0) {
        cluster::write_file(run_.config.run + "/config.yaml", config::to_yaml(run_.config));
        pretrained::write_run_source(run_.config.run, run_.config.model, run_.config.data.path,
                                     run_.inputs.model);
    }
}

void Trainer::start_base() {
    model_.start_base();
    std::string const now =
        weights::weights_sha256(model_.specs(), model_.base()->store(), run_.mesh);
    std::string const began = std::exchange(run_.progress.base, now);
    if (!began.empty() && began != now)
        throw cluster::InputError(fmt::format(
            "model.path: {}: has other weights than those with which the run in {} began, and "
            "which train.base_divergence holds on to; legal: these, or another `run`",
            run_.config.model.path, run_.config.run));
    reports_.note(fmt::format("train.base_divergence: {} times KL(base || model) of each trained "
                              "token is in the loss; base: {}",
                              run_.config.train.base_divergence, run_.config.model.path));
}

void Trainer::take_up() {
    auto& progress = run_.progress;
    reports_.note(fmt::format("resumed at step {} of {}", progress.step, run_.inputs.steps));
    if (progress.finished) { // unless it was given more to do
        progress.finished = run_.is_over();
        bool const early = !run_.early_end().empty();
        reports_.note(
            progress.finished
                ? fmt::format("the run is over; {} to go on",
                              early ? run_.early_reason().to_go_on
                                    : "raise train.epochs or train.steps")
                : "the finished run goes on; its learning rate follows the schedule of the "
                  "new length");
    }
    validation_.check_general();
    reports_.open();
    if (run_.mesh.world().rank() == 0 && !pretrained::read_run_source(run_.config.run))
        pretrained::write_run_source(run_.config.run, run_.config.model, run_.config.data.path,
                                     run_.inputs.model);
}

void Trainer::note_layout(at::Device device) {
    auto const& config = run_.config;
    if (auto const line = frozen_note(model_.specs()); !line.empty()) reports_.note(line);
    auto const micro_batches =
        data::plan_step(*run_.inputs.train, run_.shape, config.seed, 0).micro_batches.size();
    auto const data_ranks = static_cast<std::size_t>(run_.mesh.data().size());
    for (auto const& line : parallelize::layout_notes(
             run_.inputs.model, run_.mesh.shape(), config.parallel,
             static_cast<std::int64_t>((micro_batches + data_ranks - 1) / data_ranks)))
        reports_.note(line);
    if (auto const line = parallelize::device_note(device, run_.inputs.model, config.numerics);
        !line.empty())
        reports_.note(line);
    if (micro_batches < data_ranks)
        reports_.note(fmt::format(
            "note: a step makes {} for {} data-parallel ranks, so that some idle; lower "
            "batch.tokens_per_micro_batch ({}) or raise batch.global ({})",
            cluster::counted(micro_batches, "micro-batch"), run_.mesh.data().size(),
            run_.shape.tokens_per_micro_batch, run_.shape.samples));
}

Outcome Trainer::run() {
    reports_.greet();
    if (auto const refusal =
            run_.progress.finished ? std::nullopt : control_.refusal(run_.progress.step)) {
        reports_.say("not started: " + *refusal);
        return {.exit_code = cluster::kHalted};
    }
    if (std::string const warning = control_.warning(); !warning.empty()) reports_.say(warning);
    reports_.job();
    renew_config_file(run_, reports_);
    validation_.measure_general();
    run::Orders orders;
    while (!run_.progress.finished && orders.stop == run::StopReason::none) {
        // 1. Evaluation of the step before, perhaps of an earlier job: its signal came between.
        if (validation_.due()) {
            end_if_over(run_.inputs.validation && validation_.evaluate(control_));
            continue;
        }
        // 2. No step beyond the one at which this job is to end.
        if (run_.due_to_pause()) {
            orders.stop = run::StopReason::step;
            pause(orders);
            continue;
        }
        // 3. No step with samples that made one bad.
        if (run_.progress.leaves_out(run_.progress.cursor)) {
            pass_over();
            continue;
        }
        // 4. A few steps twice, to see whether rounding decides.
        if (sensitivity_.due(run_.progress.step) && !rehearse()) continue;
        // 5. One step.
        auto const start = std::chrono::steady_clock::now();
        trace_.before_step(run_.progress.step);
        train_step();
        trace_.after_step();
        control_.step_took(
            std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
        if (ledger_.empty()) continue; // the step before took the run back
        // 6. What is due after it.
        orders = between_steps();
    }
    return outcome(orders.exit_code());
}

bool Trainer::must_settle() const {
    return !ledger_.reads_late() || validation_.due() || saves_.due() || reports_.ranks_due() ||
           reports_.performance_due() || run_.due(run_.config.guard.compare_replicas) ||
           run_.due_to_pause();
}

void Trainer::pass_over() {
    if (ledger_.settle() != run::Decision::good) return;
    reports_.write({{"kind", "left out"}, {"step", run_.progress.step}});
    go_on();
}

bool Trainer::rehearse() {
    if (ledger_.settle() != run::Decision::good) return false;
    cluster::enter_phase("sensitivity");
    auto const told = [this] { // an order is given again after the next step
        run::Orders const orders = control_.agree(false);
        return orders.stop != run::StopReason::none || orders.save;
    };
    if (auto const found = sensitivity_.measure(run_.progress, reports_.seconds_per_step(), told))
        reports_.rehearsal(*found);
    return true;
}

void Trainer::pause(run::Orders const& orders) {
    saves_.save(orders.reason());
    saves_.finish();
    reports_.say(fmt::format("{}: saved at step {}; run the same command to continue",
                             orders.reason(), run_.progress.step));
}

run::Orders Trainer::between_steps() {
    if (must_settle() && ledger_.settle() != run::Decision::good) return {};
    saves_.follow();
    if (reports_.ranks_due()) reports_.ranks();
    if (reports_.performance_due()) reports_.performance();
    if (run_.due(run_.config.guard.compare_replicas)) saves_.compare_replicas();
    run::Orders const orders = control_.agree(validation_.due());
    bool const stops = orders.stop != run::StopReason::none;
    if ((stops || orders.save) && ledger_.settle() == run::Decision::rollback)
        return {}; // the order is given again after the next step
    if (stops) {
        pause(orders);
    } else if (saves_.due() || orders.save) {
        saves_.save(orders.save ? "asked to" : "interval");
    }
    return orders;
}

void Trainer::end_if_over(bool better) {
    run_.progress.finished = run_.is_over();
    if (std::string const why = run_.early_end(); !why.empty()) reports_.say(why);
    if (run_.progress.finished || (better && run_.config.checkpoint.keep_best))
        saves_.save(run_.progress.finished ? "end" : "best");
}

Outcome Trainer::outcome(int exit_code) {
    cluster::enter_phase("end");
    trace_.end();
    saves_.finish();
    Outcome outcome{.exit_code = exit_code,
                    .steps = run_.progress.step,
                    .weights_sha256 =
                        weights::weights_sha256(model_.specs(), model_.store(), run_.mesh),
                    .validation = validation_.last()};
    reports_.sources();
    inputs::remove_staged(run_.config, run_.mesh.world());
    reports_.end(outcome.weights_sha256, exit_code);
    return outcome;
}

Outcome train(config::Config const& config, cluster::Communicator& world,
              run::JobLimits const& limits, Expect const& expect,
              evaluation::CompletionScorer scorer) {
    cluster::set_call_deadline(world, deadline_of(config));
    parallelize::configure_numerics(config.numerics, cluster::topology(world).cores_per_rank);
    parallelize::ComputeDevice place(config.parallel, config.numerics, world, deadline_of(config));
    Trainer trainer(config, place.world(), limits, place.device(), std::move(scorer));
    if (expect) trainer.expect(expect(trainer.context()));
    return trainer.run();
}

} // namespace trireme::framework::train
