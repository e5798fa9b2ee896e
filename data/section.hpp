// Sections `data` and `batch` of a run's configuration.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace trireme::data {

/// One of several sets of samples that a run learns from.
struct MixtureSource {
    std::string name; ///< in the log and in curricula
    std::string path; ///< folder that `trireme prepare` wrote; empty: that of the section
    std::string split = "train";
    double weight = -1;    ///< share of the samples, beside those of the others; -1: none is given
    double max_epochs = 0; ///< the run is refused if it takes more of the source; 0: no limit
    bool operator==(MixtureSource const&) const = default;
};
/// Names the samples that a run learns from: one split of the section's folder, or several sources.
struct TrainData {
    std::string split = "train";
    std::vector<MixtureSource> sources = {}; ///< empty: the split alone
    bool operator==(TrainData const&) const = default;
};
/// Weights of sources from a step on, by name; a source that is not named has 0.
struct CurriculumStage {
    std::int64_t from_step = 0;
    std::map<std::string, double> weights;
    bool operator==(CurriculumStage const&) const = default;
};

struct Section {
    /// folder that `trireme prepare` wrote
    std::string path;
    TrainData train;
    std::string validation = "validation", test = "test"; ///< names of splits of `path`
    /// share of the training samples that the run learns from (subset.hpp)
    double fraction = 1;
    /// sources without weights: each weighs size^(1 / temperature)
    double temperature = 1;
    std::vector<CurriculumStage> curriculum =
        {}; ///< in the order of their steps, of which none is 0
    /// masked language modelling: share of the words of a training sample that are hidden
    double mask_probability = 0.15;
    std::string stage_to;       ///< folder of the node that the data are copied to; empty: none
    bool remove_staged = false; ///< takes the copies away when the job ends
    /// Copies of folders on the node, by the folder they are of. No key of a file.
    std::map<std::string, std::string> staged = {};
};
inline std::string const& path_of(MixtureSource const& source, Section const& section) {
    return source.path.empty() ? section.path : source.path;
}

/// Where the shards of a folder are read: its copy on the node, if there is one.
inline std::string const& staged_of(std::string const& path, Section const& section) {
    auto const found = section.staged.find(path);
    return found == section.staged.end() ? path : found->second;
}

struct BatchSection {
    std::int64_t global = 32;                   ///< samples per step over the whole job
    std::int64_t tokens_per_micro_batch = 2048; ///< upper limit of a packed micro-batch
};

} // namespace trireme::data
