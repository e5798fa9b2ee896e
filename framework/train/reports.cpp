#include "framework/train/reports.hpp"

#include <ATen/Parallel.h>
#include <fmt/format.h>

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

char const* policy_of(run::Decision verdict) {
    return verdict == run::Decision::stop       ? "stop"
           : verdict == run::Decision::rollback ? "rollback"
                                                : "skip";
}

} // namespace

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
    case run::Phase::load: cluster::enter_phase("step/data"); break;
    case run::Phase::compute: cluster::enter_phase("step/forward and backward"); break;
    case run::Phase::norm: break; // follows the passes without a place of its own
    case run::Phase::update: cluster::enter_phase("step/update"); break;
    }
    clock_.enter(phase);
}

void Reports::step(StepReport const& step, double seconds) {
    std::int64_t const samples = run_.shape.samples;
    double const tokens_per_second = static_cast<double>(step.tokens) / seconds;
    pace_.add(step.tokens, samples, seconds);
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
           {"tokens", step.tokens},
           {"seconds", seconds},
           {"tokens_per_second", tokens_per_second},
           {"mean_tokens_per_second", pace_.tokens_per_second()},
           {"mean_samples_per_second", pace_.samples_per_second()},
           {"peak_memory", memory}});
    log_.progress(step.step + 1, run_.inputs.steps,
                  fmt::format("epoch {:.2f}  loss {:.4f}  norm {:.2f}  {:.0f} tokens/s  {:.2f} GB",
                              epoch, cluster::unsigned_nan(step.loss),
                              cluster::unsigned_nan(step.gradient_norm), pace_.tokens_per_second(),
                              static_cast<double>(memory) * 1e-9));
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
