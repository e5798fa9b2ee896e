// Classification of texts by the labels of the nearest among a few labelled ones (Cover and Hart,
// "Nearest neighbor pattern classification", 1967), by the cosine of their embeddings: what
// scikit-learn's KNeighborsClassifier(metric="cosine") says. Pure functions; no torch.
#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "framework/evaluation/metrics.hpp"

namespace trireme::framework::evaluation {

/// Embeddings of texts with what else is known of them, one after the other.
struct EmbeddedTexts {
    std::int64_t width = 0;
    std::vector<double> values;       ///< [n, width]
    std::vector<std::int32_t> labels; ///< [n]
    std::vector<std::string> sources; ///< [n], "FILE:LINE"; "": not known
};

struct Neighbours {
    std::vector<std::int64_t> nearest; ///< places among the shots, nearest first
    std::vector<double> shares;        ///< of the classes among these; they add up to 1
    std::int32_t prediction = 0;       ///< the first class of the largest share
};

/// Finds for each of `texts` the `count` nearest of `shots`, at least one and at most all; of
/// equally near ones the first.
std::vector<Neighbours> find_neighbours(EmbeddedTexts const& shots, EmbeddedTexts const& texts,
                                        std::int64_t count, std::int64_t classes);

/// Metrics of a classifier whose probabilities are the shares. Its loss is not finite, and null as
/// JSON, where no neighbour has the label of a text.
Metrics summarize_neighbours(std::vector<Neighbours> const& found, EmbeddedTexts const& texts,
                             std::int64_t classes);

/// {"source", "label", "prediction", "shares", "neighbours": [source of the shot]}.
nlohmann::ordered_json to_json(Neighbours const& found, EmbeddedTexts const& texts,
                               std::size_t text, EmbeddedTexts const& shots,
                               std::vector<std::string> const& labels);

} // namespace trireme::framework::evaluation
