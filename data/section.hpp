// Sections `data` and `batch` of a run's configuration.
#pragma once
#include <cstdint>
#include <string>

namespace trireme::data {

struct Section {
    /// folder that `trireme prepare` wrote
    std::string path;
    std::string train = "train", validation = "validation", test = "test"; ///< names of its splits
    /// masked language modelling: share of the words of a training sample that are hidden
    double mask_probability = 0.15;
};
struct BatchSection {
    std::int64_t global = 32;                   ///< samples per step over the whole job
    std::int64_t tokens_per_micro_batch = 2048; ///< upper limit of a packed micro-batch
};

} // namespace trireme::data
