#include "framework/train/reports.hpp"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "cluster/counted.hpp"
#include "cluster/flight_record.hpp"
#include "cluster/host.hpp"
#include "cluster/host_memory.hpp"
#include "framework/run/source_totals.hpp"
#include "framework/run/stop_signal.hpp"

namespace trireme::framework::train {

namespace {

constexpr std::int64_t kStragglerSteps = 50;
constexpr std::size_t kPalm = 1; ///< in run::kFlopConventions

char const* policy_of(run::Decision verdict) {
    return verdict == run::Decision::stop       ? "stop"
           : verdict == run::Decision::rollback ? "rollback"
                                                : "skip";
}

/// "1234 tokens/s (910 trained)"; the second where some are not, and where samples have more labels
/// than one.
std::string rate_text(run::Pace const& pace) {
    double const all = pace.tokens_per_second(), trained = pace.trained_tokens_per_second();
    return fmt::format("{:.0f} tokens/s", all) +
           (trained < 0.995 * all && trained > 1.01 * pace.samples_per_second()
                ? fmt::format(" ({:.0f} trained)", trained)
                : "");
}

} // namespace

nlohmann::ordered_json about_trace(RunContext const& run) {
    auto const& shape = run.mesh.shape();
    auto const here = shape.coordinates(run.mesh.world().rank());
    auto layout = nlohmann::ordered_json::object();
    for (std::size_t a = 0; a < parallel::kAxes; ++a)
        if (auto const axis = static_cast<parallel::Axis>(a); shape[axis] > 1)
            layout[name_of(axis)] = here[a];
    return {{"layout", layout},
            {"schedule", name_of(run.config.parallel.schedule)},
            {"virtual_stages", run.config.parallel.virtual_stages},
            {"zero", run.config.parallel.zero}};
}

Reports::Reports(RunContext const& run)
    : run_(run), log_(run.config.run, run.mesh.world().rank()) {}

void Reports::greet() {
    say(fmt::format("{}, {} each, run folder {}",
                    cluster::counted(run_.mesh.world().size(), "rank"),
                    cluster::counted(at::get_num_threads(), "thread"), run_.config.run));
    if (auto const line = run::StopSignal::advice(); !line.empty()) say(line);
    for (auto const& line : notes_) say(line);
}

void Reports::job() {
    auto const& p = run_.config.parallel;
    write({{"kind", "job"},
           {"step", run_.progress.step},
           {"total_steps", run_.inputs.steps},
           {"host", cluster::host_name()},
           {"nodes", run_.limits.nodes},
           {"ranks", run_.mesh.world().size()},
           {"layout", run_.mesh.shape().equation()},
           {"zero", p.zero},
           {"schedule", name_of(p.schedule)},
           {"job_id", run_.limits.job_id},
           {"restarts", run_.limits.restarts}});
}

void Reports::enter(run::Phase phase) {
    switch (phase) {
    case run::Phase::load:
        cluster::enter_phase("step/data");
        parallel::tell_place({"data"});
        break;
    case run::Phase::compute: cluster::enter_phase("step/forward and backward"); break;
    case run::Phase::norm: // follows the passes without a place of its own in the flight record
        parallel::tell_place({"norm"});
        break;
    case run::Phase::update:
        cluster::enter_phase("step/update");
        parallel::tell_place({"update"});
        break;
    }
    clock_.enter(phase);
}

void Reports::step(StepReport const& step, double seconds) {
    std::int64_t const samples = step.counts.samples;
    double const tokens_per_second = static_cast<double>(step.counts.tokens) / seconds;
    pace_.add(step.counts, seconds);
    account_.step(step.step + 1, seconds);
    auto const left = pace_.seconds_left(run_.inputs.steps - step.step - 1);
    std::int64_t const memory = cluster::peak_memory();
    double const epoch =
        static_cast<double>(step.cursor + samples) / static_cast<double>(run_.inputs.train->size());
    write({{"kind", "train"},
           {"step", step.step + 1},
           {"epoch", epoch},
           {"loss", step.loss},
           {"learning_rate", step.learning_rate},
           {"gradient_norm", step.gradient_norm},
           {"samples", samples},
           {"tokens", step.counts.tokens},
           {"trained_tokens", step.counts.trained},
           {"seconds", seconds},
           {"tokens_per_second", tokens_per_second},
           {"mean_tokens_per_second", pace_.tokens_per_second()},
           {"mean_trained_tokens_per_second", pace_.trained_tokens_per_second()},
           {"mean_samples_per_second", pace_.samples_per_second()},
           {"seconds_left", left ? nlohmann::ordered_json(*left) : nlohmann::ordered_json()},
           {"peak_memory", memory}});
    log_.progress(step.step + 1, run_.inputs.steps,
                  fmt::format("epoch {:.2f}  loss {:.4f}  norm {:.2f}  {}  {:.2f} GB{}", epoch,
                              cluster::unsigned_nan(step.loss),
                              cluster::unsigned_nan(step.gradient_norm), rate_text(pace_),
                              static_cast<double>(memory) * 1e-9, brief_),
                  left);
}

void Reports::bad_step(StepReport const& step) {
    // JSON has no numbers that are not finite: they are null there, and spelled out in `what`.
    write({{"kind", "bad step"},
           {"step", step.step},
           {"loss", step.loss},
           {"gradient_norm", step.gradient_norm},
           {"what", step.finding.what},
           {"policy", policy_of(step.finding.verdict)},
           {"samples", step.sample_ids}});
}

void Reports::rehearsal(Rehearsal const& found) {
    write({{"kind", "sensitivity"},
           {"step", found.step},
           {"steps", found.steps},
           {"loss", found.loss},
           {"other_loss", found.other_loss},
           {"parts", found.parts}});
    if (found.parts && !std::exchange(told_sensitive_, true)) say(found.text());
}

bool Reports::ranks_due() const {
    return run_.due(kStragglerSteps);
}

void Reports::ranks() {
    run::RankTimes const times = run::gather_times(run_.mesh.world(), clock_.take());
    nlohmann::ordered_json phases;
    for (std::size_t p = 0; p < run::kPhases; ++p)
        phases[name_of(static_cast<run::Phase>(p))] = {{"slowest", times.slowest_seconds[p]},
                                                       {"median", times.median_seconds[p]}};
    write({{"kind", "ranks"},
           {"step", run_.progress.step},
           {"slowest", times.slowest},
           {"host", times.host},
           {"ratio", times.ratio},
           {"seconds", phases}});
    if (times.ratio >= run::kStraggles)
        say(fmt::format("rank {}@{} is slow: {:.1f} times the own time of the median of the "
                        "others, most of it in phase `{}`",
                        times.slowest, times.host, times.ratio, name_of(times.phase)));
}

void Reports::take_history(run::JobHistory const& history) {
    account_ = run::Account(history, run_.limits.nodes, run_.progress.step);
}

Reports::TimedStep Reports::time_step(bool on_host) {
    timed_ = on_host && run_.config.log.every > 0;
    return TimedStep(timed_ ? &step_clock_ : nullptr);
}

bool Reports::performance_due() const {
    return timed_ && run_.due(run_.config.log.every);
}

namespace {

/// FLOP/s of a rank by each convention; with a `peak`, as a share of it.
nlohmann::ordered_json flops_of(run::Expectation const& expected, double tokens_per_second,
                                double length, double peak) {
    nlohmann::ordered_json found;
    for (std::size_t c = 0; c < run::kFlopConventions.size(); ++c)
        found[run::kFlopConventions[c]] = expected.flops[c].at(length) * tokens_per_second / peak;
    return found;
}

template <std::size_t N>
nlohmann::ordered_json parts_of(std::array<char const*, N> const& names,
                                std::array<double, N> const& mean,
                                std::array<double, N> const& most) {
    nlohmann::ordered_json parts;
    for (std::size_t i = 0; i < N; ++i) parts[names[i]] = {{"mean", mean[i]}, {"most", most[i]}};
    return parts;
}

} // namespace

void Reports::performance() {
    auto& world = run_.mesh.world();
    run::StepTimes const own = step_clock_.take();
    auto const times = run::gather_step_times(world, own);
    std::array<std::int64_t, 2> memory{cluster::peak_memory(), expectation_.memory};
    world
        .all_reduce({memory.data(), memory.size(), cluster::DType::i64}, cluster::ReduceOp::max,
                    "step/performance")
        .wait();
    double const rate = pace_.tokens_per_second() / world.size(),
                 length = pace_.tokens_per_sample(), budget = run_.config.job.node_hours,
                 hours = account_.node_hours(), peak = expectation_.peak_flops;
    nlohmann::ordered_json const none;
    write({{"kind", "performance"},
           {"step", run_.progress.step},
           {"steps", static_cast<std::int64_t>(own.steps)},
           {"seconds", times.mean.seconds},
           {"phases", parts_of(run::kStepPhaseNames, times.mean.own, times.most.own)},
           {"exposed", parts_of(run::kStepAxisNames, times.mean.exposed, times.most.exposed)},
           {"flops_per_second", flops_of(expectation_, rate, length, 1)},
           {"utilisation", peak > 0 ? flops_of(expectation_, rate, length, peak) : none},
           {"peak_memory", memory[0]},
           {"planned_memory", memory[1] > 0 ? nlohmann::ordered_json(memory[1]) : none},
           {"goodput", account_.goodput()},
           {"node_hours", hours},
           {"node_hours_left",
            budget > 0 ? nlohmann::ordered_json(std::max(0.0, budget - hours)) : none}});
    double const waits = std::accumulate(times.mean.exposed.begin(), times.mean.exposed.end(), 0.0);
    brief_ = fmt::format("  waits {:.0f} %", 100 * waits / times.mean.seconds);
    if (peak > 0)
        brief_ += fmt::format("  MFU (PaLM) {:.1f} %",
                              100 * rate * expectation_.flops[kPalm].at(length) / peak);
}

void Reports::sources() {
    auto const& progress = run_.progress;
    if (!run_.inputs.mixture || std::exchange(told_sources_, progress.step) == progress.step ||
        progress.source_samples.size() != run_.inputs.mixture->count())
        return;
    std::vector<run::SourceTotal> totals;
    for (std::size_t s = 0; s < progress.source_samples.size(); ++s) {
        auto const& part = run_.inputs.mixture->part(s);
        totals.push_back(
            {part.name, progress.source_samples[s], progress.source_tokens[s], part.set->size()});
    }
    write({{"kind", "sources"}, {"step", progress.step}, {"sources", run::source_list(totals)}});
    say(fmt::format("step {}: sources so far: {}", progress.step, run::source_text(totals)));
}

void Reports::end(std::string const& weights_sha256, int exit_code) {
    write({{"kind", "end"},
           {"step", run_.progress.step},
           {"why", run_.early_end()},
           {"weights_sha256", weights_sha256},
           {"exit_code", exit_code}});
}

} // namespace trireme::framework::train
