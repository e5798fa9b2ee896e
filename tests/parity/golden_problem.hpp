// Parity problems of the families in tests/golden.
#pragma once
#include <nlohmann/json.hpp>
#include <string>

#include "cluster/file.hpp"
#include "framework/parity/layouts.hpp"
#include "framework/parity/problem.hpp"

namespace trireme::test {

/// The task of the head that a folder's config.json names.
inline std::string golden_task(std::string const& path) {
    auto const json = nlohmann::json::parse(cluster::read_file(path + "/config.json"));
    std::string const name = json.at("architectures").at(0);
    if (name.ends_with("ForMaskedLM")) return "masked-language-modeling";
    if (name.ends_with("ForTokenClassification")) return "token-classification";
    if (name.ends_with("ForQuestionAnswering")) return "question-answering";
    if (!name.ends_with("ForSequenceClassification")) return "language-modeling";
    auto const problem = json.value("problem_type", nlohmann::json());
    return problem == "regression"                   ? "regression"
           : problem == "multi_label_classification" ? "multi-label"
                                                     : "classification";
}

inline framework::config::Config golden_config(std::string const& folder) {
    framework::config::Config config;
    config.run = "unused";
    config.model.path = std::string(TRIREME_GOLDEN) + "/" + folder;
    config.task = golden_task(config.model.path);
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
