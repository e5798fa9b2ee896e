// Checks the numbers of a shard before anything counts on them.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>

#include "cluster/error.hpp"
#include "cluster/xxh3.hpp"
#include "data/pieces.hpp"
#include "data/shard.hpp"

namespace trireme::data {

std::string Shard::Range::legal_numbers() const {
    return *of ? fmt::format("0 to {}, the {}", below - 1, of) : "0 or more";
}

Shard::Range Shard::range_of(TaskColumn const& column, std::int64_t length) const {
    switch (column.values) {
    case Values::vocabulary:
        return {column.what, "vocabulary of the manifest", limits_.vocabulary, true};
    case Values::labels: return {column.what, "labels of the manifest", limits_.labels, true};
    case Values::places: return {column.what, "last token of the sample", length, true};
    case Values::numbers: return {column.what, "", INT64_C(1) << 31, true};
    case Values::reals: break; // has no bounds
    }
    return {column.what};
}

void Shard::check_offsets() const {
    if (offsets_.front() != 0 || offsets_.back() != expected_->tokens)
        throw cluster::InputError(
            fmt::format("{}: tokens/offsets: from {} to {}: legal: from 0 to {}, the tokens of "
                        "the manifest",
                        path_, offsets_.front(), offsets_.back(), expected_->tokens));
    std::int64_t longest = 0;
    for (std::int64_t i = 0; i < size(); ++i) {
        if (at(offsets_, i + 1) <= at(offsets_, i))
            throw cluster::InputError(
                fmt::format("{}: sample {}: tokens from {} to {}: legal: one token or more", path_,
                            i, at(offsets_, i), at(offsets_, i + 1)));
        longest = std::max(longest, length(i));
    }
    if (longest != expected_->longest) // memory is taken for that many
        throw cluster::InputError(
            fmt::format("{}: the longest sample has {} tokens: legal: {}, as the manifest says",
                        path_, longest, expected_->longest));
}

void Shard::check_labels(SampleColumn<std::int32_t> const& column) const {
    for (std::size_t i = 0; i < column.values.size(); ++i) {
        std::int64_t const sample = static_cast<std::int64_t>(i) / column.width;
        Range const range = range_of(*column.task, length(sample));
        if (!range.legal(column.values[i]))
            throw cluster::InputError(fmt::format("{}: sample {}: {} {}: legal: {}", path_, sample,
                                                  range.what, column.values[i],
                                                  range.legal_numbers()));
    }
}

void Shard::check_reals(SampleColumn<float> const& column) const {
    for (std::size_t i = 0; i < column.values.size(); ++i)
        if (std::isinf(column.values[i]))
            throw cluster::InputError(fmt::format(
                "{}: sample {}: {} {}: legal: a finite number, or none", path_,
                static_cast<std::int64_t>(i) / column.width, column.task->what, column.values[i]));
}

/// A loss counts on these before it has seen a label.
void Shard::check_trained() const {
    std::int64_t of_a_token = 0;
    for (auto const& column : token_columns_) of_a_token += column.task->learned ? column.width : 0;
    auto const held = [](auto const& column, std::int64_t i) -> std::int64_t {
        if (!column.task->learned) return 0;
        auto const entry = std::span(column.values)
                               .subspan(static_cast<std::size_t>(i * column.width),
                                        static_cast<std::size_t>(column.width));
        return std::ranges::count_if(entry, [](auto v) { return counts(v); });
    };
    for (std::int64_t i = 0; i < size(); ++i) {
        std::int64_t most = length(i) * of_a_token;
        for (auto const& column : labels_) most += held(column, i);
        for (auto const& column : reals_) most += held(column, i);
        if (trained(i) < 0 || trained(i) > most)
            throw cluster::InputError(fmt::format("{}: sample {}: trained {}: legal: 0 to {}",
                                                  path_, i, trained(i), most));
    }
}

void Shard::check_numbers(TokenColumn const& tokens) const {
    if (!tokens.column) return;
    std::int64_t const piece = pieces.checked;
    std::vector<std::int32_t> values;
    cluster::Xxh3 hash;
    std::int64_t sample = 0;
    for (std::int64_t first = 0; first < tokens.column->elements; first += piece) {
        values.resize(static_cast<std::size_t>(std::min(piece, tokens.column->elements - first)));
        read(tokens.column->offset + first * 4, static_cast<std::int64_t>(values.size()) * 4,
             values.data());
        hash.update(values.data(), values.size() * 4);
        for (std::size_t i = 0; i < values.size(); ++i) {
            if (tokens.range.legal(values[i])) continue;
            std::int64_t const token = (first + static_cast<std::int64_t>(i)) / tokens.width;
            while (at(offsets_, sample + 1) <= token) ++sample;
            throw cluster::InputError(fmt::format("{}: sample {}: {} {}: legal: {}", path_, sample,
                                                  tokens.range.what, values[i],
                                                  tokens.range.legal_numbers()));
        }
    }
    if (hash.hex() != tokens.column->xxh3)
        throw cluster::InputError(fmt::format("{}: content does not match the hash of column {} in "
                                              "the manifest; prepare the data again",
                                              path_, tokens.column->name));
}

} // namespace trireme::data
