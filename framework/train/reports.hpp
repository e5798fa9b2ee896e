// Reports what a run says of its job and its steps: lines for a person, events for programs
// (framework/log). Numbers are the same on every rank; rank 0 writes.
#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "framework/log/run_log.hpp"
#include "framework/run/account.hpp"
#include "framework/run/expectation.hpp"
#include "framework/run/pace.hpp"
#include "framework/run/step_clock.hpp"
#include "framework/run/step_guard.hpp"
#include "framework/run/stragglers.hpp"
#include "framework/train/run_context.hpp"
#include "framework/train/sensitivity.hpp"

namespace trireme::framework::train {

/// Holds what one step found, the same on every rank.
struct StepReport {
    std::int64_t step = 0, cursor = 0; ///< step and cursor at which it began
    double loss = 0;                   ///< mean over the step's trained labels
    double gradient_norm = 0;
    double learning_rate = 0;
    run::StepCounts counts;
    run::Judgement finding; ///< anything but good: no update was made
    /// samples of a bad step: those of the micro-batches whose loss is not finite, or all of the
    /// step
    std::vector<std::int64_t> sample_ids;
};

class Reports {
  public:
    /// Writes nothing before open(). `run` must outlive this. Local.
    explicit Reports(RunContext const& run);

    /// This job goes on from these, at the run's step. Local.
    void take_history(run::JobHistory const& history);
    void expect(run::Expectation const& expectation) { expectation_ = expectation; }

    /// Keeps a line that the user should know before the first step. Nothing is said before all is
    /// checked: a mistake has its line for itself.
    void note(std::string const& line) { notes_.push_back(line); }
    void open() { log_.open(); }
    void say(std::string const& line) { log_.say(line); }
    void write(nlohmann::ordered_json const& event) { log_.write(event); }

    /// Says who trains where, and what was noted.
    void greet();
    void job();
    void step(StepReport const& step, double seconds);
    void bad_step(StepReport const& step);
    /// Says it once a job if rounding decides.
    void rehearsal(Rehearsal const& found);
    /// Is it time to compare the times of the ranks?
    bool ranks_due() const;
    /// Names the slowest rank. Collective.
    void ranks();
    /// Is it time to say where the time of a step goes? Never on a GPU.
    bool performance_due() const;
    /// Says it: over the ranks, since the last time. Collective.
    void performance();
    /// The run went back to a step.
    void back_to(std::int64_t step) { account_.back_to(step); }
    /// Says what each source of a mixture gave so far, once a step; nothing without a mixture.
    void sources();
    void end(std::string const& weights_sha256, int exit_code);

    /// Takes the times of a step for as long as it lives, where they are wanted and the model is on
    /// the host. Local.
    class TimedStep {
      public:
        explicit TimedStep(run::StepClock* clock) : clock_(clock) {
            if (clock_) clock_->begin();
        }
        ~TimedStep() {
            if (clock_) clock_->end();
        }
        TimedStep(TimedStep const&) = delete;
        TimedStep& operator=(TimedStep const&) = delete;

      private:
        run::StepClock* clock_;
    };
    TimedStep time_step(bool on_host);

    /// Notes which phase of a step this rank is in, for its times and its flight record. Local.
    void enter(run::Phase phase);
    void leave() { clock_.leave(); }                                     ///< the step is queued
    double seconds_per_step() const { return pace_.seconds_per_step(); } ///< 0: unknown

  private:
    RunContext const& run_;
    log::RunLog log_;
    std::vector<std::string> notes_;
    run::PhaseClock clock_;
    run::Pace pace_;
    run::StepClock step_clock_;
    run::Account account_;
    run::Expectation expectation_;
    std::string brief_;  ///< of the last event `performance`, for the line of progress
    bool timed_ = false; ///< the steps so far
    bool told_sensitive_ = false;
    std::int64_t told_sources_ = -1; ///< at which step
};

/// Says of this rank's timeline what its place in the mesh is, axis by axis that is divided, and by
/// what schedule it computes.
nlohmann::ordered_json about_trace(RunContext const& run);

} // namespace trireme::framework::train
