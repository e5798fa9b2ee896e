// Keeps in the run folder what an export needs of the run's first model and its data, so that an
// export works from any folder, and when the data or the first model are gone.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "framework/model/config.hpp"
#include "framework/pretrained/section.hpp"

namespace trireme::framework::pretrained {

struct RunSource {
    /// RUN/source: config.json and the tokenizer's files
    std::string folder;
    std::vector<std::string> labels; ///< class names in id order
    /// tokens, where the data added some to those of config.json; else 0
    std::int64_t vocabulary = 0;
    /// dtypes by tensor, as safetensors calls them; none when from scratch
    std::map<std::string, std::string> dtypes;
};

/// Writes RUN/source, whole or not at all, over what a job left that came to no checkpoint. `data`:
/// folder of the data. Local: call on rank 0. Throws JobError.
void write_run_source(std::string const& run, ModelSection const& section, std::string const& data,
                      model::Config const& model);

/// A run that goes on computes what it began with: throws InputError if the folder of its model has
/// another configuration now, in anything that changes what is computed. Local.
void check_same_model(std::string const& run, std::string const& folder,
                      model::Config const& model);

/// None if the run was made before this folder was kept. Throws InputError naming file and field.
std::optional<RunSource> read_run_source(std::string const& run);

} // namespace trireme::framework::pretrained
