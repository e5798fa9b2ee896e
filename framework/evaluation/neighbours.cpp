#include "framework/evaluation/neighbours.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace trireme::framework::evaluation {

namespace {

/// Embeddings of length 1; one of zeros stays, and is as far from all.
std::vector<double> normalized(EmbeddedTexts const& texts) {
    std::vector<double> rows = texts.values;
    auto const width = static_cast<std::size_t>(texts.width);
    for (std::size_t first = 0; first < rows.size(); first += width) {
        double square = 0;
        for (std::size_t i = 0; i < width; ++i) square += rows[first + i] * rows[first + i];
        double const length = square > 0 ? std::sqrt(square) : 1;
        for (std::size_t i = 0; i < width; ++i) rows[first + i] /= length;
    }
    return rows;
}

/// The places of the `count` largest, largest first, of equal ones the first.
std::vector<std::int64_t> largest(std::vector<double> const& values, std::int64_t count) {
    std::vector<std::int64_t> places(values.size());
    std::iota(places.begin(), places.end(), 0);
    std::ranges::stable_sort(places, std::ranges::greater{}, [&](std::int64_t place) {
        return values[static_cast<std::size_t>(place)];
    });
    places.resize(static_cast<std::size_t>(count));
    return places;
}

Neighbours vote(std::vector<std::int64_t> nearest, std::vector<std::int32_t> const& labels,
                std::int64_t classes) {
    std::vector<double> shares(static_cast<std::size_t>(classes));
    for (auto const place : nearest)
        ++shares[static_cast<std::size_t>(labels[static_cast<std::size_t>(place)])];
    for (double& share : shares) share /= static_cast<double>(nearest.size());
    auto const best = std::ranges::max_element(shares) - shares.begin();
    return {std::move(nearest), std::move(shares), static_cast<std::int32_t>(best)};
}

} // namespace

std::vector<Neighbours> find_neighbours(EmbeddedTexts const& shots, EmbeddedTexts const& texts,
                                        std::int64_t count, std::int64_t classes) {
    auto const known = normalized(shots), asked = normalized(texts);
    auto const width = shots.width;
    std::vector<Neighbours> found;
    for (auto text = asked.begin(); text != asked.end(); text += width) {
        std::vector<double> cosines;
        for (auto shot = known.begin(); shot != known.end(); shot += width)
            cosines.push_back(std::inner_product(text, text + width, shot, 0.0));
        found.push_back(vote(largest(cosines, count), shots.labels, classes));
    }
    return found;
}

Metrics summarize_neighbours(std::vector<Neighbours> const& found, EmbeddedTexts const& texts,
                             std::int64_t classes) {
    Outcome outcome{.findings = Findings::classes, .outputs = classes};
    for (std::size_t i = 0; i < found.size(); ++i) {
        auto const label = texts.labels[i];
        outcome.samples.push_back(
            {.sample = static_cast<std::int64_t>(i),
             .loss = -std::log(found[i].shares[static_cast<std::size_t>(label)]),
             .trained = 1,
             .correct = found[i].prediction == label,
             .label = label,
             .prediction = found[i].prediction});
        // A class without a neighbour has a logit so low that its probability is 0.
        for (double const share : found[i].shares)
            outcome.logits.push_back(share > 0 ? static_cast<float>(std::log(share)) : -1e9F);
    }
    return summarize(outcome);
}

nlohmann::ordered_json to_json(Neighbours const& found, EmbeddedTexts const& texts,
                               std::size_t text, EmbeddedTexts const& shots,
                               std::vector<std::string> const& labels) {
    auto const name = [&](std::int32_t label) {
        return labels.at(static_cast<std::size_t>(label));
    };
    auto neighbours = nlohmann::ordered_json::array();
    for (auto const place : found.nearest)
        neighbours.push_back(shots.sources[static_cast<std::size_t>(place)]);
    return {{"source", texts.sources[text]},
            {"label", name(texts.labels[text])},
            {"prediction", name(found.prediction)},
            {"shares", found.shares},
            {"neighbours", neighbours}};
}

} // namespace trireme::framework::evaluation
