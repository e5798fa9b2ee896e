// Opens the samples that a run learns from: one split, or a mixture of sources.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "data/loader.hpp"
#include "data/manifest.hpp"
#include "data/mixture.hpp"
#include "framework/config/config.hpp"

namespace trireme::framework::inputs {

struct TrainSet {
    std::unique_ptr<data::Dataset> set;
    data::Mixture const* mixture = nullptr; ///< `set`, if it is one
    /// how often each label is there; of a mixture, weighted as the run begins
    std::vector<std::int64_t> label_counts;
};

/// Opens what data.train names. `manifest`: of data.path. Throws InputError in one line, which
/// names both of two sources that do not agree. Local.
TrainSet open_train(config::Config const& config, data::Manifest const& manifest);

/// Throws InputError if a run of `steps` takes more epochs of a source than its max_epochs. Local.
void check_caps(config::Config const& config, data::Mixture const& mixture, std::int64_t steps);

/// Samples, shares and epochs of each source, as a run of `steps` takes them. Local.
struct SourceShare {
    std::string name;
    std::int64_t samples = 0, size = 0;
    double share = 0, epochs = 0;
};
std::vector<SourceShare> planned_shares(config::Config const& config, data::Mixture const& mixture,
                                        std::int64_t steps);

} // namespace trireme::framework::inputs
