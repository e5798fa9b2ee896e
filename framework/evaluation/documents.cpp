#include "framework/evaluation/documents.hpp"

#include <algorithm>
#include <cmath>
#include <span>

#include "data/micro_batch.hpp"
#include "framework/model/probabilities.hpp"

namespace trireme::framework::evaluation {

namespace {

/// Outputs of windows [begin, end), pooled.
std::vector<float> pooled(Outcome const& windows, std::int64_t begin, std::int64_t end,
                          Pooling pooling) {
    std::vector<float> row;
    for (std::int64_t k = 0; k < windows.outputs; ++k) {
        auto const at = [&](std::int64_t window) {
            return static_cast<double>(
                windows.logits[static_cast<std::size_t>(window * windows.outputs + k)]);
        };
        double value = at(begin);
        for (std::int64_t w = begin + 1; w < end; ++w)
            value = pooling == Pooling::mean ? value + at(w) : std::max(value, at(w));
        if (pooling == Pooling::mean) value /= static_cast<double>(end - begin);
        row.push_back(static_cast<float>(value));
    }
    return row;
}

void judge_class(std::span<float const> row, model::SampleResult& result) {
    result.prediction =
        result.label < 0 ? -1
                         : static_cast<std::int32_t>(std::ranges::max_element(row) - row.begin());
    result.trained = result.label >= 0;
    result.correct = result.trained && result.prediction == result.label;
    result.loss = 0;
    if (!result.trained) return;
    auto const most = static_cast<double>(std::ranges::max(row));
    double sum = 0;
    for (float const x : row) sum += std::exp(static_cast<double>(x) - most);
    result.loss =
        std::log(sum) + most - static_cast<double>(row[static_cast<std::size_t>(result.label)]);
}

void judge_targets(std::span<float const> row, std::span<float const> targets, bool sets,
                   model::SampleResult& result) {
    result.loss = 0;
    result.trained = result.correct = 0;
    for (std::size_t k = 0; k < row.size(); ++k) {
        if (!data::counts(targets[k])) continue;
        double const x = static_cast<double>(row[k]), target = static_cast<double>(targets[k]);
        ++result.trained;
        result.loss += sets ? std::max(x, 0.0) - x * target + std::log1p(std::exp(-std::abs(x)))
                            : (x - target) * (x - target);
        result.correct +=
            sets && model::is_label_found(row[k]) == model::is_label_there(targets[k]);
    }
}

} // namespace

std::vector<std::int64_t> documents_of(data::Dataset const& dataset) {
    std::vector<std::int64_t> first;
    std::string before;
    for (std::int64_t sample = 0; sample < dataset.size(); ++sample) {
        std::string source = dataset.source(sample);
        if (source.empty() || source != before) first.push_back(sample);
        before = std::move(source);
    }
    if (std::ssize(first) == dataset.size()) first.clear();
    return first;
}

Outcome pool_windows(Outcome const& windows, std::vector<std::int64_t> const& first,
                     Pooling pooling) {
    Outcome documents{.findings = windows.findings, .outputs = windows.outputs};
    documents.labels = windows.labels;
    for (std::size_t d = 0; d < first.size(); ++d) {
        std::int64_t const end = d + 1 < first.size() ? first[d + 1] : std::ssize(windows.samples);
        auto const row = pooled(windows, first[d], end, pooling);
        auto& result =
            documents.samples.emplace_back(windows.samples[static_cast<std::size_t>(first[d])]);
        documents.logits.insert(documents.logits.end(), row.begin(), row.end());
        if (windows.findings == Findings::classes) {
            judge_class(row, result);
            continue;
        }
        auto const targets = std::span(windows.targets)
                                 .subspan(static_cast<std::size_t>(first[d] * windows.outputs),
                                          static_cast<std::size_t>(windows.outputs));
        judge_targets(row, targets, windows.findings == Findings::label_sets, result);
        documents.targets.insert(documents.targets.end(), targets.begin(), targets.end());
    }
    return documents;
}

} // namespace trireme::framework::evaluation
