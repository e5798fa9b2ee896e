// Writes the values of a configuration that are no scalars, and reads the sources of a mixture and
// its curriculum, which say by themselves what is wrong inside them.
#pragma once
#include <yaml-cpp/yaml.h>

#include <string>
#include <vector>

#include "data/section.hpp"
#include "framework/config/config.hpp"

namespace trireme::framework::config {

/// Reads the name of a split or a list of sources; `place`: "FILE:LINE: data.train".
/// Throws InputError.
data::TrainData read_train_data(YAML::Node const& node, std::string const& place);
/// Reads a list of {from_step, weights}. Throws InputError.
std::vector<data::CurriculumStage> read_curriculum(YAML::Node const& node,
                                                   std::string const& place);

/// Each writes what the reader takes: "none", "balanced" or a mapping; a name or a list; a list;
/// texts in quotes, as a star begins something else in YAML.
YAML::Emitter& operator<<(YAML::Emitter& out, data::ClassWeights const& weights);
YAML::Emitter& operator<<(YAML::Emitter& out, data::TrainData const& train);
YAML::Emitter& operator<<(YAML::Emitter& out, std::vector<data::CurriculumStage> const& stages);
YAML::Emitter& operator<<(YAML::Emitter& out, std::vector<std::string> const& texts);

/// Expands the paths of sources, and throws InputError for keys of a mixture that do not fit each
/// other.
void settle_mixture(data::Section& section, Origins const& origins);

} // namespace trireme::framework::config
