#include "data/class_weights.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>

#include "cluster/error.hpp"

namespace trireme::data {

std::vector<double> weights_of(ClassWeights const& asked, std::vector<std::string> const& labels,
                               std::vector<std::int64_t> const& counts, std::string const& place) {
    if (asked.none()) return {};
    std::vector<double> weights(labels.size(), 1);
    for (auto const& [name, weight] : asked.by_name) {
        auto const found = std::ranges::find(labels, name);
        if (found == labels.end())
            throw cluster::InputError(fmt::format(
                "{}: {}: legal: the names of the classes: {}", place, cluster::one_line(name),
                cluster::one_line(fmt::format("{}", fmt::join(labels, ", ")))));
        weights[static_cast<std::size_t>(found - labels.begin())] = weight;
    }
    if (!asked.balanced) return weights;
    auto const all = std::accumulate(counts.begin(), counts.end(), std::int64_t{0}),
               occur = std::ranges::count_if(counts, [](auto count) { return count > 0; });
    if (occur == 0) // weights of 0 alone would train nothing
        throw cluster::InputError(fmt::format(
            "{}: balanced: the training split has no sample of a class; legal: none", place));
    for (std::size_t c = 0; c < weights.size(); ++c) {
        std::int64_t const count = c < counts.size() ? counts[c] : 0;
        weights[c] = count ? static_cast<double>(all) / static_cast<double>(occur * count) : 0;
    }
    return weights;
}

} // namespace trireme::data
