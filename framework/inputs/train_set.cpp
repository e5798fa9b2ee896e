#include "framework/inputs/train_set.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "cluster/error.hpp"
#include "data/subset.hpp"

namespace trireme::framework::inputs {

namespace {

/// Counts labels as the run begins to see them: those of a source times how often it comes there.
std::vector<std::int64_t> weighted_counts(std::vector<std::vector<std::int64_t>> const& counts,
                                          std::vector<std::int64_t> const& sizes,
                                          data::Apportionment::Stage const& stage) {
    constexpr double kSamples = 1e9;
    double all = 0;
    for (double const weight : stage.weights) all += weight;
    std::vector<std::int64_t> sum(counts.front().size(), 0);
    for (std::size_t s = 0; s < counts.size(); ++s)
        for (std::size_t c = 0; c < sum.size() && c < counts[s].size(); ++c)
            sum[c] +=
                std::llround(kSamples * stage.weights[s] / all * static_cast<double>(counts[s][c]) /
                             static_cast<double>(sizes[s]));
    return sum;
}

/// Sources as they are opened one after the other, which have to agree.
struct OpenSources {
    std::vector<data::Mixture::Part> parts;
    std::vector<std::vector<std::int64_t>> counts; ///< of labels
    std::vector<std::int64_t> sizes;
};

OpenSources open_sources(config::Config const& config, data::Manifest const& of_validation) {
    auto const& sources = config.data.train.sources;
    OpenSources open;
    std::optional<data::Manifest> first;
    for (auto const& source : sources) {
        std::string const& path = data::path_of(source, config.data);
        data::Manifest own = data::read_manifest(path);
        if (first) data::check_agree(sources.front().name, *first, source.name, own);
        open.parts.push_back(
            {source.name, data::open_dataset(data::staged_of(path, config.data), source.split)});
        open.counts.push_back(own.splits.at(source.split).label_counts);
        open.sizes.push_back(std::max<std::int64_t>(1, open.parts.back().set->size()));
        if (!first) first = std::move(own);
    }
    data::check_agree(sources.front().name, *first, "data.path", of_validation);
    return open;
}

/// Counts the classes of samples; of other tasks, whose labels have no weights, none.
std::vector<std::int64_t> counts_of(data::Dataset const& set) {
    std::vector<std::int64_t> counts(set.label_names().size(), 0);
    if (set.task().kind != data::TaskKind::classification) return counts;
    for (std::int64_t i = 0; i < set.size(); ++i)
        if (auto const label = set.class_of(i); label >= 0)
            ++counts.at(static_cast<std::size_t>(label));
    return counts;
}

TrainSet open_part(std::unique_ptr<data::Dataset> whole, double fraction) {
    auto part = std::make_unique<data::Subset>(std::move(whole), fraction);
    auto counts = counts_of(*part);
    return {std::move(part), nullptr, std::move(counts)};
}

} // namespace

TrainSet open_train(config::Config const& config, data::Manifest const& manifest) {
    auto const& train = config.data.train;
    if (train.sources.empty()) {
        auto set = data::open_dataset(data::staged_of(config.data.path, config.data), train.split);
        if (config.data.fraction < 1) return open_part(std::move(set), config.data.fraction);
        return {std::move(set), nullptr, manifest.splits.at(train.split).label_counts};
    }
    auto [parts, counts, sizes] = open_sources(config, manifest);
    auto const stages = data::stages_of(config.data, sizes, config.batch.global);
    auto mixture = std::make_unique<data::Mixture>(std::move(parts), stages);
    auto const* observed = mixture.get();
    return {std::move(mixture), observed, weighted_counts(counts, sizes, stages.front())};
}

std::vector<SourceShare> planned_shares(config::Config const& config, data::Mixture const& mixture,
                                        std::int64_t steps) {
    std::int64_t const all = steps * config.batch.global;
    auto const drawn = mixture.drawn(all);
    std::vector<SourceShare> shares;
    for (std::size_t s = 0; s < drawn.size(); ++s) {
        auto const size = mixture.part(s).set->size();
        shares.push_back({mixture.part(s).name, drawn[s], size,
                          static_cast<double>(drawn[s]) / static_cast<double>(all),
                          static_cast<double>(drawn[s]) / static_cast<double>(size)});
    }
    return shares;
}

void check_caps(config::Config const& config, data::Mixture const& mixture, std::int64_t steps) {
    auto const shares = planned_shares(config, mixture, steps);
    for (std::size_t s = 0; s < shares.size(); ++s) {
        double const most = config.data.train.sources[s].max_epochs;
        if (most == 0 ||
            static_cast<double>(shares[s].samples) <= most * static_cast<double>(shares[s].size))
            continue;
        throw cluster::InputError(fmt::format(
            "data.train: {}: max_epochs {}: {} steps take {} of its {} samples, {:.2f} epochs; "
            "legal: a larger max_epochs, a lower weight of it, or fewer steps",
            shares[s].name, most, steps, shares[s].samples, shares[s].size, shares[s].epochs));
    }
}

} // namespace trireme::framework::inputs
