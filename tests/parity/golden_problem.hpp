// Parity problems of the families in tests/golden.
#pragma once
#include <string>

#include "framework/parity/layouts.hpp"
#include "framework/parity/problem.hpp"

namespace trireme::test {

inline framework::config::Config golden_config(std::string const& folder) {
    framework::config::Config config;
    config.run = "unused";
    config.task =
        folder == "bert" || folder.ends_with("classifier") ? "classification" : "language-modeling";
    config.model.path = std::string(TRIREME_GOLDEN) + "/" + folder;
    config.data.path = "unused";
    return config;
}

inline framework::parity::Problem golden_problem(framework::config::Config const& config) {
    return framework::parity::make_problem(framework::parity::read_full_model(config), config);
}

inline framework::parity::Problem golden_problem(std::string const& folder,
                                                 framework::parallelize::NumericsMode mode,
                                                 framework::parallelize::Compute compute,
                                                 std::uint64_t seed = 1) {
    auto config = golden_config(folder);
    config.numerics = {.mode = mode, .compute = compute};
    config.seed = seed;
    return golden_problem(config);
}

/// Every layout of a family's tiny model.
inline std::vector<framework::parity::Layout> golden_layouts(std::string const& folder,
                                                             int most_ranks) {
    using namespace framework::parity;
    return all_layouts(tiny_model(read_full_model(golden_config(folder))), packings(), most_ranks);
}

} // namespace trireme::test
