// The jobs of a run so far, from its metrics.jsonl. Local.
#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace trireme::framework::run {

/// Seconds of the steps that a run still stands on: a step that is computed again, or rolled back,
/// does not count.
class KeptSteps {
  public:
    void add(std::int64_t step, double seconds); ///< drops `step` and later ones first
    void back_to(std::int64_t step);             ///< drops the steps after it
    double seconds() const { return sums_.empty() ? 0 : sums_.back().second; }

  private:
    std::vector<std::pair<std::int64_t, double>> sums_; ///< step, seconds of it and all before
};

struct PastJob {
    double start = 0, last = 0; ///< seconds since 1970: of its first and of its last event
    int nodes = 1;
    std::int64_t first_step = 0; ///< step at which it took up the run
};

struct JobHistory {
    std::vector<PastJob> jobs;     ///< in order
    double longest_save = 0;       ///< seconds, of the last ten saves; 0: none
    double longest_evaluation = 0; ///< likewise
    KeptSteps kept;                ///< as far as these jobs know

    /// Returns the node hours of all jobs, up to their last events: a job killed in its set-up
    /// counts little.
    double node_hours() const;
    double seconds() const; ///< of all jobs, likewise
    /// Returns how many of the last jobs in a row began at `step` and got no further.
    int stuck_at(std::int64_t step) const;
};

/// Events of RUN/metrics.jsonl; no jobs if it is not there. A torn line is passed over. Throws
/// InputError if it cannot be read, or naming the line of an event that no run writes.
JobHistory read_job_history(std::string const& run);

} // namespace trireme::framework::run
