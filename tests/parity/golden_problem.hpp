// Parity problems of the families in tests/golden.
#pragma once
#include <string>

#include "framework/parity/problem.hpp"

namespace trireme::test {

inline framework::Config golden_config(std::string const& folder) {
    framework::Config config;
    config.run = "unused";
    config.task = folder == "bert" || folder.ends_with("classifier") ? "classification" : "language-modeling";
    config.model.path = std::string(TRIREME_GOLDEN) + "/" + folder;
    config.data.path = "unused";
    return config;
}

inline framework::parity::Problem golden_problem(framework::Config const& config) {
    return framework::parity::make_problem(framework::parity::read_full_model(config), config);
}

inline framework::parity::Problem golden_problem(std::string const& folder, framework::NumericsMode mode,
                                                 framework::Compute compute, std::uint64_t seed = 1) {
    auto config = golden_config(folder);
    config.numerics = {.mode = mode, .compute = compute};
    config.seed = seed;
    return golden_problem(config);
}

} // namespace trireme::test
