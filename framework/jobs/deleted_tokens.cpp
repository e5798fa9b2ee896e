#include "framework/jobs/deleted_tokens.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <utility>

#include "cluster/philox.hpp"

namespace trireme::framework::jobs {

namespace {

data::Sample without(data::Sample const& sample, std::vector<std::size_t> const& places) {
    data::Sample left;
    for (std::size_t t = 0; t < sample.tokens.size(); ++t) {
        if (std::ranges::find(places, t) != places.end()) continue;
        left.tokens.push_back(sample.tokens[t]);
        if (!sample.segments.empty()) left.segments.push_back(sample.segments[t]);
    }
    return left;
}

/// The first `count` of `places`, shuffled by Fisher and Yates.
std::vector<std::size_t> draw(std::vector<std::size_t> places, std::size_t count,
                              std::uint64_t text, std::uint64_t number) {
    for (std::size_t i = 0; i < count; ++i) {
        auto const word = cluster::philox(text, i, number)[0];
        std::swap(places[i], places[i + word % (places.size() - i)]);
    }
    places.resize(count);
    return places;
}

} // namespace

DeletedTokens::DeletedTokens(AttributedText const& text, std::vector<double> const& by,
                             std::uint64_t key) {
    std::vector<std::size_t> free;
    for (std::size_t t = 0; t < text.sample.tokens.size(); ++t)
        if (!text.fixed[t]) free.push_back(t);
    if (free.size() < 2) return;
    auto const count =
        static_cast<std::size_t>(std::ceil(kDeletedShare * static_cast<double>(free.size())));
    count_ = static_cast<std::int64_t>(count);
    auto highest = free;
    std::ranges::stable_sort(highest, std::greater(), [&](auto t) { return by[t]; });
    highest.resize(count);
    samples_ = {text.sample, without(text.sample, highest)};
    for (std::uint64_t d = 0; d < kDraws; ++d)
        samples_.push_back(without(text.sample, draw(free, count, key, d)));
}

Deletion DeletedTokens::judge(std::vector<double> const& scores) const {
    double const drawn = std::accumulate(scores.begin() + 2, scores.end(), 0.0) / kDraws;
    return {count_, scores[0] - scores[1], scores[0] - drawn};
}

double Attribution::error() const {
    double const sum = std::accumulate(integrated.begin(), integrated.end(), 0.0);
    double const missed = std::abs(sum - difference());
    return missed == 0 ? 0 : missed / std::abs(difference());
}

} // namespace trireme::framework::jobs
