#include "framework/evaluation/fills.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>
#include <utility>

namespace trireme::framework::evaluation {

namespace {

/// Appends the likeliest tokens of a row of logits; `fill`: where the row belongs.
void append_likeliest(std::span<float const> logits, std::int64_t count, Fill fill,
                      std::vector<Fill>& fills) {
    double const highest = std::ranges::max(logits);
    double sum = 0;
    for (float const logit : logits) sum += std::exp(static_cast<double>(logit) - highest);
    std::vector<std::int32_t> order(logits.size());
    std::iota(order.begin(), order.end(), 0);
    auto const end = order.begin() + std::min(count, std::ssize(order));
    auto const is_likelier = [&](auto a, auto b) {
        float const of_a = logits[static_cast<std::size_t>(a)],
                    of_b = logits[static_cast<std::size_t>(b)];
        return of_a > of_b || (of_a == of_b && a < b);
    };
    std::partial_sort(order.begin(), end, order.end(), is_likelier);
    for (auto token = order.begin(); token < end; ++token) {
        fill.token = *token;
        fill.probability =
            std::exp(static_cast<double>(logits[static_cast<std::size_t>(*token)]) - highest) / sum;
        fills.push_back(fill);
    }
}

} // namespace

void append_fills(model::Results const& results, data::Dataset const& set, std::int64_t count,
                  std::vector<Fill>& fills) {
    std::int64_t tokens = 0;
    for (auto const& found : results.samples) tokens += set.length(found.sample);
    if (tokens == 0) return;
    auto const vocabulary = results.logits.size() / static_cast<std::size_t>(tokens);
    std::span<float const> rest(results.logits);
    for (auto const& found : results.samples) {
        auto const labels = set.values_of(found.sample, data::kTokenLabels);
        for (std::size_t t = 0; t < labels.size(); ++t) {
            auto const row = rest.first(vocabulary);
            rest = rest.subspan(vocabulary);
            if (data::counts(labels[t]))
                append_likeliest(row, count, {found.sample, static_cast<std::int32_t>(t)}, fills);
        }
    }
}

} // namespace trireme::framework::evaluation
