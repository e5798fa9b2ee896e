// Reads from a run folder, without MPI, its past jobs, where the run stands, and who ended its last
// job.
#pragma once
#include <nlohmann/json.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace trireme::framework::run {

struct JobStatus {
    double start = 0, last = 0;  ///< seconds since 1970, of its first and its last sign of life
    std::int64_t first_step = 0; ///< step at which it took up the run
    std::int64_t last_step = 0;  ///< the last it did
    std::int64_t kept_step = 0;  ///< up to here its steps count: a later job did not do them again
    std::int64_t ranks = 0, nodes = 0, restarts = 0;
    std::string host, layout, job_id; ///< job_id: of the batch system; empty without one
    std::optional<int> exit_code;     ///< none: it left no last word
    double seconds_in_kept_steps = 0;
};

struct Status {
    /// running | done | to be continued | halted | failed | ended without a word | not started
    std::string state;
    std::string why;         ///< reason for the last job's end if it did not end well: one line
    std::vector<int> guilty; ///< ranks, if known
    std::int64_t step = 0, total_steps = 0;
    std::optional<double> loss;           ///< loss of the last step
    nlohmann::ordered_json evaluation;    ///< the last event of that kind; null: none
    std::vector<std::string> checkpoints; ///< newest first
    std::vector<JobStatus> jobs;
    /// time in steps that count / time of all jobs
    double goodput = 0;
    std::optional<double> seconds_left; ///< at the pace of the last steps
    /// over the last steps of the last job
    std::optional<double> tokens_per_second, samples_per_second;
    /// bytes of rank 0 of the last job
    std::optional<double> peak_memory;

    nlohmann::ordered_json to_json() const;
};

/// Names and values of the metrics in an event of kind "evaluation", in their order there.
std::vector<std::pair<std::string, double>> metrics_of(nlohmann::ordered_json const& evaluation);

/// Reads metrics.jsonl, flight/ and the names of checkpoints. A torn line is passed over. Throws
/// InputError for a folder that holds no run, and naming the line of an event that no run writes.
Status read_status(std::string const& run);

} // namespace trireme::framework::run
