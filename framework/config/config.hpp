// Describes a run: one YAML file. Each section is a plain struct, with its defaults, in
// `section.hpp` of the component that owns it; here they are put together. Unknown or mistyped keys
// are errors with file, line, nearest legal key. Only sources of this folder know yaml-cpp.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "data/section.hpp"
#include "framework/evaluation/section.hpp"
#include "framework/log/section.hpp"
#include "framework/optimizer/section.hpp"
#include "framework/parallelize/section.hpp"
#include "framework/pretrained/section.hpp"
#include "framework/run/section.hpp"

namespace trireme::framework::config {

struct Config {
    std::string run; ///< folder of the run: logs, checkpoints, resolved config
    std::uint64_t seed = 1;
    std::string task; ///< a name of data/task.hpp
    pretrained::ModelSection model;
    data::Section data;
    parallelize::ParallelSection parallel;
    data::BatchSection batch;
    parallelize::NumericsSection numerics;
    optimizer::Section optimizer;
    run::TrainSection train;
    evaluation::Section evaluation;
    run::CheckpointSection checkpoint;
    run::GuardSection guard;
    run::JobSection job;
    log::Section log;
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
/// the same. A key of a Config that the old text lacks, being of an earlier version, has its
/// default.
std::vector<std::string> differences(std::string const& old_yaml, std::string const& new_yaml);

} // namespace trireme::framework::config
