// A run small enough for tests, on disk: a Llama of 4 layers from scratch, its data, its YAML.
#pragma once
#include <string>
#include <vector>

namespace trireme::test {

/// Writes FOLDER/model/config.json, FOLDER/data and FOLDER/run.yaml (bitwise mode, dropout on, 40
/// steps, a checkpoint every 4). Returns the path of the YAML file.
std::string write_tiny_run(std::string const& folder);

struct Outcome {
    int exit_code = 0;  ///< -1: ended by a signal
    std::string output; ///< both streams
};
/// Runs a command to its end. mpirun may start more ranks than there are cores.
Outcome run_command(std::vector<std::string> const& command);
/// mpirun -n RANKS trireme ARGUMENTS, or trireme alone for 0 ranks.
std::vector<std::string> trireme(int ranks, std::vector<std::string> const& arguments);

/// Events of RUN/metrics.jsonl as lines of JSON text; empty while it is not there.
std::vector<std::string> metric_lines(std::string const& run);
/// weights_sha256 of the run's last "end" event; empty if it has none.
std::string final_hash(std::string const& run);

} // namespace trireme::test
