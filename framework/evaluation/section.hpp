// Section `evaluation` of a run's configuration.
#pragma once
#include <cstdint>
#include <string>

namespace trireme::framework::evaluation {

struct Section {
    std::int64_t every = 0;      ///< steps; 0: at the end of each epoch
    std::string metric = "loss"; ///< decides best checkpoint and early stop
    /// evaluations without improvement before stopping; 0: never stop early
    int patience = 0;
};

} // namespace trireme::framework::evaluation
