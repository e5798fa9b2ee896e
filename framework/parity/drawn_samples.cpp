#include "framework/parity/drawn_samples.hpp"

#include "cluster/philox.hpp"
#include "data/token_weights.hpp"

namespace trireme::framework::parity {

namespace {

constexpr std::uint64_t kDataPurpose = 0x706172697479ULL; // "parity"
constexpr std::int64_t kSamples = 31;

/// The next token at each, none at the end; of every third sample the first half is not trained.
std::vector<std::int32_t> next_tokens(std::vector<std::int32_t> const& tokens, std::int64_t i) {
    std::vector<std::int32_t> next(tokens.size(), data::kIgnoredLabel);
    for (std::size_t t = i % 3 == 0 ? tokens.size() / 2 : 0; t + 1 < tokens.size(); ++t)
        next[t] = tokens[t + 1];
    return next;
}

/// Draws whole numbers for a column of the i-th sample, which has `tokens`.
template <typename Draw>
std::vector<std::int32_t> draw_labels(data::TaskColumn const& column, std::int64_t labels,
                                      std::int64_t i, Draw const& draw,
                                      std::vector<std::int32_t> const& tokens) {
    std::size_t const length = tokens.size();
    if (column.values == data::Values::vocabulary) return next_tokens(tokens, i);
    std::vector<std::int32_t> drawn;
    if (column.values == data::Values::labels) // of every second token, or of the sample
        for (std::size_t t = 0; t < (column.per == data::Per::token ? length : 1); ++t)
            drawn.push_back(
                i % 5 == 4 || t % 2 == 1
                    ? data::kIgnoredLabel
                    : static_cast<std::int32_t>(draw(t)[1] % static_cast<std::uint64_t>(labels)));
    if (column.values == data::Values::places)
        for (std::uint64_t k = 0; k < 2; ++k)
            drawn.push_back(i % 5 == 4 ? data::kIgnoredLabel
                                       : static_cast<std::int32_t>(draw(100 + k)[0] % length));
    return drawn;
}

/// Numbers words of two tokens; the first token belongs to none.
std::vector<std::int32_t> number_words(std::size_t places) {
    std::vector<std::int32_t> words;
    for (std::size_t t = 0; t < places; ++t)
        words.push_back(t == 0 ? data::kIgnoredLabel : static_cast<std::int32_t>((t - 1) / 2));
    return words;
}

template <typename Draw>
std::vector<float> draw_reals(std::int64_t count, std::int64_t i, Draw const& draw) {
    std::vector<float> drawn;
    for (std::int64_t k = 0; k < count; ++k)
        drawn.push_back(
            i % 5 == 4 && k != i % 3
                ? data::kIgnoredValue
                : static_cast<float>(draw(100 + static_cast<std::uint64_t>(k))[0] % 4001) /
                          1000.0F -
                      2.0F);
    return drawn;
}

/// Draws the target of the i-th sample, by the kind of values of each column.
template <typename Draw>
void fill(data::TaskColumn const& column, std::int64_t labels, std::int64_t i, Draw const& draw,
          data::Sample& sample) {
    std::size_t const width = static_cast<std::size_t>(column.width);
    switch (column.values) {
    case data::Values::vocabulary:
    case data::Values::labels:
    case data::Values::places:
        sample.labels[column.name] = draw_labels(column, labels, i, draw, sample.tokens);
        return;
    case data::Values::numbers:
        sample.labels[column.name] = number_words(sample.tokens.size() * width);
        return;
    case data::Values::reals:
        sample.reals[column.name] = draw_reals(column.width_for(labels), i, draw);
        return;
    }
}

/// Weighs the trained tokens of two of three samples, from their middle on by another number.
void weigh_tokens(std::int64_t i, data::Sample& sample) {
    if (i % 3 == 1) return;
    auto weights = data::equal_weights(sample.labels.at(data::kTokenLabels.name));
    for (std::size_t t = 0; t < weights.size(); ++t)
        weights[t] = weights[t] / 4 * (2 * t < weights.size() ? 1 : 7);
    sample.labels[data::kTokenWeights.name] = std::move(weights);
}

/// Draws a sample of 3 to 17 tokens, without targets.
template <typename Draw>
data::Sample draw_text(std::int64_t vocabulary, Draw const& draw) {
    data::Sample sample;
    auto const length = static_cast<std::size_t>(3 + 2 * (draw(0)[0] % 8));
    for (std::size_t t = 0; t < length; ++t) {
        sample.tokens.push_back(
            static_cast<std::int32_t>(draw(1 + t)[0] % static_cast<std::uint64_t>(vocabulary)));
        sample.segments.push_back(t > length / 2);
    }
    return sample;
}

} // namespace

std::vector<data::Sample> drawn_samples(data::TaskKind task, std::int64_t labels,
                                        std::int64_t vocabulary, std::uint64_t seed) {
    std::uint64_t const key = cluster::philox_key(seed, kDataPurpose);
    std::vector<data::Sample> samples;
    for (std::int64_t i = 0; i < kSamples; ++i) {
        auto const draw = [&](std::uint64_t place) {
            return cluster::philox(key, place, static_cast<std::uint64_t>(i));
        };
        data::Sample& sample = samples.emplace_back(draw_text(vocabulary, draw));
        for (auto const& column : data::schema_of(task).columns)
            fill(column, labels, i, draw, sample);
        if (task == data::TaskKind::generation) weigh_tokens(i, sample);
    }
    return samples;
}

} // namespace trireme::framework::parity
