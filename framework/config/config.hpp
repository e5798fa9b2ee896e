// Describes a run: one YAML file. Each section is the plain struct of the component that owns it,
// with its defaults. Unknown or mistyped keys are errors with file, line, nearest legal key. Only
// sources of this folder know yaml-cpp.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "parallel/pipeline_schedule.hpp"

namespace trireme::framework::config {

struct ModelSection {
    std::string path; ///< Hugging Face folder (config.json, safetensors, tokenizer files)
    /// random weights keyed by seed and name; path gives config and tokenizer only
    bool from_scratch = false;
    /// -1: as config.json says
    double hidden_dropout = -1, attention_dropout = -1, classifier_dropout = -1;
};
struct DataSection {
    /// folder that `trireme prepare` wrote
    std::string path;
    std::string train = "train", validation = "validation", test = "test"; ///< names of its splits
};
/// Names the parts of a layer that are computed again in its backward pass.
enum class Recompute : std::uint8_t { none, selective, full };
/// Names the state that is kept in host memory between updates.
enum class Offload : std::uint8_t { none, optimizer };
/// Names the place where ranks compute; cuda: a GPU for each.
enum class Device : std::uint8_t { cpu, cuda };
struct ParallelSection {
    int pipeline = 1, tensor = 1, context = 1;
    /// 0: what the world size leaves, for shard when zero > 0 and else for replicate
    int replicate = 0, shard = 0;
    int zero = 0; ///< ZeRO stage over the shard axis, 0 to 3
    parallel::ScheduleKind schedule = parallel::ScheduleKind::one_f_one_b;
    /// parts of the model per pipeline stage; interleaved: 2 or more
    int virtual_stages = 1;
    /// layers of each of the pipeline x virtual_stages parts; empty: an even split
    std::vector<int> layers = {};
    Recompute recompute = Recompute::none;
    Offload offload = Offload::none;
    Device device = Device::cpu;
    bool share_gpus = false; ///< several ranks may have one GPU: for tests, slow
};
struct BatchSection {
    std::int64_t global = 32;                   ///< samples per step over the whole job
    std::int64_t tokens_per_micro_batch = 2048; ///< upper limit of a packed micro-batch
};
enum class NumericsMode : std::uint8_t { bitwise, fast };
enum class Compute : std::uint8_t { fp64, fp32, bf16 };
struct NumericsSection {
    NumericsMode mode = NumericsMode::fast;
    Compute compute = Compute::fp32;
    int threads = 0; ///< per rank; 0: cores of the node divided by its ranks
};
/// Names the way of the learning rate after the warm-up; wsd: warm-up, stable, decay.
enum class RateSchedule : std::uint8_t { constant, linear, cosine, wsd };
struct OptimizerSection {
    double learning_rate = 5e-5;
    double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
    double weight_decay = 0.01;                   ///< decoupled; not on biases and norms
    double clip = 1.0;                            ///< global gradient norm; 0: off
    RateSchedule schedule = RateSchedule::linear; ///< to final_fraction * learning_rate
    double warmup = 0.1;                          ///< fraction of all steps, linear from 0
    double cooldown = 0.1; ///< wsd: fraction of all steps, the last ones, in which the rate falls
    double final_fraction = 0.0;
};
struct TrainSection {
    double epochs = 1; ///< steps = floor(epochs * samples / global) unless steps is given
    std::int64_t steps = 0;
};
struct EvaluationSection {
    std::int64_t every = 0;      ///< steps; 0: at the end of each epoch
    std::string metric = "loss"; ///< decides best checkpoint and early stop
    /// evaluations without improvement before stopping; 0: never stop early
    int patience = 0;
};
struct CheckpointSection {
    std::int64_t every = 0; ///< steps; 0: only when told to stop and at the end
    double minutes = 0;     ///< since the last save; 0: never for this reason
    int keep_last = 2;
    bool keep_best = true;
    std::int64_t keep_every = 0; ///< steps: multiples of it are never removed; 0: none
    bool async = true;           ///< write while training goes on, from a copy in host memory
};
/// Chooses a reaction to a step whose loss or gradient norm is not finite.
enum class NonFinite : std::uint8_t { stop, skip, rollback };
/// When a run is rehearsed (sensitivity.hpp); automatic: where it costs little.
enum class Rehearse : std::uint8_t { off, automatic, always };
/// Says what a run does about faults.
struct GuardSection {
    double deadline = 600; ///< seconds that a collective may take
    /// stop | skip | rollback: a step whose loss or gradient norm is not finite
    NonFinite non_finite = NonFinite::stop;
    /// steps that may be left out, over the whole run, before it stops
    int most_skips = 10;
    /// a loss above this many times the median of the last 50 is treated so too; 0: off
    double spike = 0;
    /// steps between comparisons of the replicas' weights; 0: never
    std::int64_t compare_replicas = 100;
    Rehearse sensitivity = Rehearse::automatic;
};
/// Limits what the jobs of a run may take.
struct JobSection {
    double minutes = 0;    ///< until the job's end; 0: as Slurm says, if it does
    double node_hours = 0; ///< over all jobs of the run; 0: no limit
    /// jobs in a row that may end without a step done before the next one refuses to start
    int attempts = 3;
};
struct Config {
    std::string run; ///< folder of the run: logs, checkpoints, resolved config
    std::uint64_t seed = 1;
    std::string task; ///< a name of data/task.hpp
    ModelSection model;
    DataSection data;
    ParallelSection parallel;
    BatchSection batch;
    NumericsSection numerics;
    OptimizerSection optimizer;
    TrainSection train;
    EvaluationSection evaluation;
    CheckpointSection checkpoint;
    GuardSection guard;
    JobSection job;
    /// Holds lines that reading the file has to say, for the log and the dry run. No key of a file.
    std::vector<std::string> notes = {};
};

/// Reads FILE, then applies `overrides` ("optimizer.learning_rate=1e-4"). Throws
/// cluster::InputError with "FILE:LINE: field: value: what is legal". Checks every value's range;
/// checks nothing that needs other files.
Config read_config(std::string const& file, std::vector<std::string> const& overrides);

/// Says by key where each value comes from: "default", "FILE:LINE", "--set", "TRIREME_SET". The
/// reader notes it.
using Origins = std::map<std::string, std::string>;
struct ConfigWithOrigins {
    Config config;
    Origins origins;
};
/// Reads a configuration as read_config does, with the origin of every value. `environment`: the
/// words of TRIREME_SET; the command line wins over them.
ConfigWithOrigins read_config_with_origins(std::string const& file,
                                           std::vector<std::string> const& environment,
                                           std::vector<std::string> const& command_line);
/// Reads a YAML text as read_config reads a file; messages call it `name`.
Config parse_config(std::string const& text, std::string const& name,
                    std::vector<std::string> const& overrides);

/// The whole configuration, every key spelled out, as YAML.
std::string to_yaml(Config const& config);

struct Value {
    std::string key, value, legal;
};
/// Every key in the order of to_yaml.
std::vector<Value> list_values(Config const& config);

/// "KEY: OLD -> NEW" for each value that differs between two texts of to_yaml; empty if they mean
/// the same.
std::vector<std::string> differences(std::string const& old_yaml, std::string const& new_yaml);

} // namespace trireme::framework::config
