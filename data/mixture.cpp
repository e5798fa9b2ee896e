#include "data/mixture.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "cluster/error.hpp"
#include "cluster/philox.hpp"
#include "cluster/xxh3.hpp"
#include "data/manifest.hpp"
#include "data/token_weights.hpp"

namespace trireme::data {

namespace {

constexpr std::uint64_t kSourcePurpose = 0x736f75726365ULL; // "source"

/// Both learn to predict each next token, of which a loss is the mean, wherever it stands.
bool learn_alike(TaskSchema const& a, TaskSchema const& b) {
    auto const learns_next = [](TaskSchema const& task) {
        return std::string_view(task.columns.front().name) == kTokenLabels.name;
    };
    return a.kind == b.kind || (learns_next(a) && learns_next(b));
}

std::string labels_of(Manifest const& manifest) {
    return manifest.labels.empty() ? "(none)" : fmt::format("{}", fmt::join(manifest.labels, ", "));
}

/// Weights that sizes give. They are rounded, so that no last bit of a machine's pow decides; sizes
/// themselves are not.
std::vector<double> weights_by_size(std::vector<std::int64_t> const& sizes, double temperature) {
    std::vector<double> weights;
    for (auto const size : sizes)
        weights.push_back(temperature == 1 ? static_cast<double>(size)
                                           : std::pow(static_cast<double>(size), 1 / temperature));
    double const sum = std::accumulate(weights.begin(), weights.end(), 0.0);
    if (temperature != 1)
        for (double& weight : weights) weight = std::max(1.0, std::round(weight / sum * 1e6));
    return weights;
}

void append_read(MicroBatch const& from, TaskSchema const& task, std::int64_t labels,
                 MicroBatch& to) {
    std::int64_t const before = to.token_count();
    to.tokens.insert(to.tokens.end(), from.tokens.begin(), from.tokens.end());
    to.positions.insert(to.positions.end(), from.positions.begin(), from.positions.end());
    to.segments.insert(to.segments.end(), from.segments.begin(), from.segments.end());
    for (std::size_t i = 1; i < from.offsets.size(); ++i)
        to.offsets.push_back(before + from.offsets[i]);
    for (auto const& column : task.columns)
        if (column.values == Values::reals)
            to.columns.append(column, column.width_for(labels), from.columns.reals_of(column));
        else
            to.columns.append(column, column.width_for(labels), from.columns.labels_of(column));
    if (has_token_weights(task)) append_weights(from.columns.labels_of(kTokenWeights), to);
}

} // namespace

void check_agree(std::string const& name, Manifest const& manifest, std::string const& other_name,
                 Manifest const& other) {
    auto const refuse = [&](char const* what, std::string const& mine, std::string const& others) {
        throw cluster::InputError(cluster::one_line(
            fmt::format("data.train: {} and {} differ in {}: {} / {}; legal: data that agree in it",
                        name, other_name, what, mine, others)));
    };
    auto const &task = schema_of(manifest.task), &other_task = schema_of(other.task);
    if (!learn_alike(task, other_task)) refuse("their task", task.name, other_task.name);
    if (manifest.labels != other.labels)
        refuse("their labels", labels_of(manifest), labels_of(other));
    if (manifest.tokenizer_xxh3 != other.tokenizer_xxh3 || manifest.vocabulary != other.vocabulary)
        refuse("their tokenizer",
               fmt::format("{} tokens, XXH3 {}", manifest.vocabulary, manifest.tokenizer_xxh3),
               fmt::format("{} tokens, XXH3 {}", other.vocabulary, other.tokenizer_xxh3));
}

Mixture::Mixture(std::vector<Part> parts, std::vector<Apportionment::Stage> const& stages)
    : parts_(std::move(parts)), order_(stages) {
    std::string all;
    for (auto const& part : parts_) {
        if (part.set->size() == 0)
            throw cluster::InputError(
                fmt::format("data.train: {}: has no samples; legal: at least one", part.name));
        ends_.push_back(ends_.back() + part.set->size());
        all += part.set->fingerprint();
    }
    fingerprint_ = cluster::xxh3_hex(all.data(), all.size());
}

std::size_t Mixture::source_of(std::int64_t id) const {
    auto const sample = id % size();
    return static_cast<std::size_t>(std::ranges::upper_bound(ends_, sample) - ends_.begin()) - 1;
}

Mixture::Inner Mixture::inner(std::int64_t id) const {
    std::size_t const source = source_of(id);
    Dataset const& set = *parts_[source].set;
    return {&set, set.in_epoch(id % size() - first(source), id / size())};
}

std::int64_t Mixture::length(std::int64_t id) const {
    auto const [set, own] = inner(id);
    return set->length(own);
}

std::int64_t Mixture::trained(std::int64_t id) const {
    auto const [set, own] = inner(id);
    return set->trained(own);
}

std::vector<std::int32_t> Mixture::values_of(std::int64_t id, TaskColumn const& column) const {
    auto const [set, own] = inner(id);
    return set->values_of(own, column);
}

std::int32_t Mixture::class_of(std::int64_t id) const {
    auto const [set, own] = inner(id);
    return set->class_of(own);
}

std::int64_t Mixture::in_epoch(std::int64_t sample, std::int64_t epoch) const {
    std::size_t const source = source_of(sample);
    std::int64_t const own = sample - first(source);
    return parts_[source].set->in_epoch(own, epoch) == own ? sample : epoch * size() + sample;
}

Visit Mixture::visit(std::uint64_t seed, std::int64_t cursor) const {
    auto const [source, nth] = order_.at(cursor);
    std::uint64_t const own_seed =
        source == 0 ? seed : cluster::philox_key(seed, kSourcePurpose, source);
    Visit const own = parts_[source].set->visit(own_seed, nth);
    return {first(source) + own.sample, own.epoch};
}

std::int64_t Mixture::longest() const {
    std::int64_t most = 0;
    for (auto const& part : parts_) most = std::max(most, part.set->longest());
    return most;
}

std::vector<std::string> const& Mixture::label_names() const {
    return parts_.front().set->label_names();
}

std::string Mixture::source(std::int64_t sample) const {
    auto const [set, own] = inner(sample);
    return set->source(own);
}

std::int64_t Mixture::vocabulary() const {
    return parts_.front().set->vocabulary();
}

std::int64_t Mixture::segments() const {
    std::int64_t most = 0;
    for (auto const& part : parts_) most = std::max(most, part.set->segments());
    return most;
}

TaskSchema const& Mixture::task() const {
    return parts_.front().set->task();
}

void Mixture::verify(int part, int parts) const {
    for (auto const& source : parts_) source.set->verify(part, parts);
}

void Mixture::verify_samples(std::int64_t begin, std::int64_t end) const {
    for (std::size_t s = 0; s < parts_.size(); ++s) {
        std::int64_t const from = std::max(begin, first(s)), to = std::min(end, ends_[s + 1]);
        if (from < to) parts_[s].set->verify_samples(from - first(s), to - first(s));
    }
}

MicroBatch Mixture::read(std::vector<std::int64_t> const& ids, std::int64_t token_multiple) const {
    MicroBatch batch;
    batch.offsets.push_back(0);
    for (std::size_t i = 0; i < ids.size();) {
        Dataset const* const set = inner(ids[i]).set;
        std::vector<std::int64_t> run; // of neighbours with one source
        for (; i < ids.size() && inner(ids[i]).set == set; ++i) {
            run.push_back(inner(ids[i]).id);
            batch.sample_ids.push_back(ids[i]);
        }
        append_read(set->read(run, 1), task(), std::ssize(label_names()), batch);
    }
    fill_up(batch, token_multiple);
    return batch;
}

std::vector<Apportionment::Stage>
stages_of(Section const& section, std::vector<std::int64_t> const& sizes, std::int64_t samples) {
    auto const& sources = section.train.sources;
    std::vector<double> weights;
    if (sources.front().weight < 0)
        weights = weights_by_size(sizes, section.temperature);
    else
        for (auto const& source : sources) weights.push_back(source.weight);
    std::vector<Apportionment::Stage> stages{{0, weights}};
    for (auto const& stage : section.curriculum) {
        auto& next = stages.emplace_back(stage.from_step * samples, std::vector<double>{});
        for (auto const& source : sources) {
            auto const found = stage.weights.find(source.name);
            next.weights.push_back(found == stage.weights.end() ? 0 : found->second);
        }
    }
    return stages;
}

} // namespace trireme::data
