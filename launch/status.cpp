#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <ctime>

#include "cluster/counted.hpp"
#include "cluster/error.hpp"
#include "framework/evaluation/metrics.hpp"
#include "framework/run/status.hpp"
#include "launch/commands.hpp"
#include "launch/options.hpp"

namespace trireme::launch {

namespace po = boost::program_options;

namespace {

std::string clock_text(double seconds) {
    constexpr double kMost = 1e12; // 30,000 years: an event or a record with a wrong clock
    if (!(std::abs(seconds) < kMost)) return "?";
    auto const s = static_cast<std::int64_t>(seconds + 0.5);
    return fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
}

std::string date_text(double time) {
    auto const seconds = static_cast<std::time_t>(time);
    std::tm local{};
    localtime_r(&seconds, &local);
    return fmt::format("{:%Y-%m-%d %H:%M:%S}", local);
}

std::string ending(framework::run::JobStatus const& job, bool runs) {
    if (runs) return "running";
    if (!job.exit_code) return "no last word";
    switch (*job.exit_code) {
    case cluster::kDone: return "done";
    case cluster::kSavedToContinue: return "saved, to be continued";
    case cluster::kHalted: return "halted";
    default: return fmt::format("failed ({})", *job.exit_code);
    }
}

void print_jobs(framework::run::Status const& s) {
    fmt::print("jobs:\n");
    for (std::size_t i = 0; i < s.jobs.size(); ++i) {
        auto const& j = s.jobs[i];
        bool const runs = i + 1 == s.jobs.size() && s.state == "running";
        std::string const lost = j.kept_step < j.last_step ? fmt::format(", {} done again later",
                                                                         j.last_step - j.kept_step)
                                                           : "";
        fmt::print("  {:>3}  {}  {}  {} on {}{}  steps {} to {}{}  {}\n", i + 1, date_text(j.start),
                   clock_text(j.last - j.start), cluster::counted(j.ranks, "rank"),
                   j.host.empty() ? "?" : j.host, j.job_id.empty() ? "" : ", job " + j.job_id,
                   j.first_step, j.last_step, lost, ending(j, runs));
    }
}

bool is_in_text(std::string const& name) {
    auto const& all = framework::evaluation::metrics();
    auto const found = std::ranges::find(all, name, &framework::evaluation::Metric::name);
    return found == all.end() || found->in_text;
}

/// "loss 0.6931, accuracy 0.5000, f1 0.3333"
std::string metrics_text(nlohmann::ordered_json const& evaluation) {
    std::string text;
    for (auto const& [name, value] : framework::run::metrics_of(evaluation))
        if (is_in_text(name))
            text += fmt::format("{}{} {:.4f}", text.empty() ? "" : ", ", name, value);
    return text.empty() ? "no number" : text;
}

/// Prints how fast the run goes, and how long it will.
void print_pace(framework::run::Status const& s) {
    if (s.tokens_per_second)
        fmt::print("rate:        {:.0f} tokens/s, {:.1f} samples/s over the last steps; at most "
                   "{:.2f} GB of memory (rank "
                   "0)\n",
                   *s.tokens_per_second, *s.samples_per_second, *s.peak_memory * 1e-9);
    if (s.seconds_left)
        fmt::print("left:        {} at the pace of the last steps\n", clock_text(*s.seconds_left));
}

void print_status(std::string const& run, framework::run::Status const& s) {
    fmt::print("run:         {}\nstate:       {}\n", run, s.state);
    if (!s.why.empty()) fmt::print("why:         {}\n", s.why);
    fmt::print("step:        {} of {}\n", s.step,
               s.total_steps ? std::to_string(s.total_steps) : "?");
    if (s.loss) fmt::print("loss:        {:.4f}\n", *s.loss);
    if (s.evaluation.is_object() && s.evaluation.contains("loss"))
        fmt::print("evaluation:  {} at step {}\n", metrics_text(s.evaluation),
                   s.evaluation.value("step", nlohmann::ordered_json("?")).dump());
    fmt::print("checkpoints: {}{}\n", s.checkpoints.empty() ? "none" : s.checkpoints.front(),
               s.checkpoints.size() > 1 ? fmt::format(" and {} older", s.checkpoints.size() - 1)
                                        : "");
    fmt::print("goodput:     {:.0f} % of the jobs' time went into steps that count\n",
               100 * s.goodput);
    print_pace(s);
    print_jobs(s);
}

} // namespace

int status_command(std::vector<std::string> const& arguments) {
    std::string run;
    bool json = false;
    po::options_description options(
        "trireme status RUN: where a run stands, its jobs, and who ended the last one if that did "
        "not end well\n\n"
        "  trireme status runs/reviews\n  trireme status runs/reviews --json\n\nOptions");
    options.add_options()("run", po::value(&run)->required(), "run folder")(
        "json", po::bool_switch(&json), "the same as one JSON object");
    if (!parse(options, arguments, "run")) return 0;
    auto const status = framework::run::read_status(run);
    if (json)
        fmt::print("{}\n",
                   status.to_json().dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
    else
        print_status(run, status);
    return cluster::kDone;
}

} // namespace trireme::launch
