#include "framework/evaluation/score_metrics.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <span>

#include "framework/model/probabilities.hpp"

namespace trireme::framework::evaluation {

namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
constexpr std::size_t kBins = 15; ///< as Guo et al. 2017 (arXiv:1706.04599) take them

/// Area under the ROC curve by ranks: the chance that a sample of the class scores higher than
/// another, where a tie counts one half.
double roc_auc(std::vector<double> const& scores, std::vector<bool> const& is) {
    auto const ranks = ranks_of(scores);
    double sum = 0, with = 0;
    for (std::size_t i = 0; i < is.size(); ++i)
        if (is[i]) {
            sum += ranks[i];
            ++with;
        }
    double const without = static_cast<double>(is.size()) - with;
    return with > 0 && without > 0 ? (sum - with * (with + 1) / 2) / (with * without) : kNone;
}

/// Probabilities of the classes of one sample.
std::vector<double> shares_of(Outcome const& outcome, std::size_t i) {
    auto const outputs = static_cast<std::size_t>(outcome.outputs);
    return model::softmax(std::span(outcome.logits).subspan(i * outputs, outputs));
}

bool has_logits(Outcome const& outcome) {
    return outcome.outputs > 0 && !outcome.samples.empty() &&
           std::ssize(outcome.logits) == std::ssize(outcome.samples) * outcome.outputs;
}

/// Labels of one output: there and found, there or found.
struct LabelCounts {
    std::int64_t both = 0, there = 0, found = 0;
    double f1() const {
        return there + found ? 2.0 * static_cast<double>(both) / static_cast<double>(there + found)
                             : 0;
    }
};
LabelCounts counts_of(Pairs const& pairs) {
    LabelCounts counts;
    for (std::size_t i = 0; i < pairs.found.size(); ++i) {
        bool const there = model::is_label_there(pairs.targets[i]),
                   found = model::is_label_found(pairs.found[i]);
        counts.both += there && found;
        counts.there += there;
        counts.found += found;
    }
    return counts;
}

} // namespace

Pairs pairs_of(Outcome const& outcome, std::int64_t output) {
    Pairs pairs;
    for (auto i = static_cast<std::size_t>(output); i < outcome.targets.size();
         i += static_cast<std::size_t>(outcome.outputs))
        if (!std::isnan(outcome.targets[i])) {
            pairs.targets.push_back(static_cast<double>(outcome.targets[i]));
            pairs.found.push_back(static_cast<double>(outcome.logits[i]));
        }
    return pairs;
}

std::vector<double> ranks_of(std::vector<double> const& values) {
    std::vector<std::size_t> order(values.size());
    std::iota(order.begin(), order.end(), 0U);
    // Without numbers that are none, of which no order is legal for sort.
    auto const ranked =
        std::ranges::partition(order, [&](auto i) { return !std::isnan(values[i]); });
    order.erase(ranked.begin(), ranked.end());
    std::ranges::sort(order, {}, [&](auto i) { return values[i]; });
    std::vector<double> ranks(values.size(), kNone);
    for (std::size_t first = 0, end; first < order.size(); first = end) {
        for (end = first + 1; end < order.size() && values[order[end]] == values[order[first]];)
            ++end;
        for (std::size_t i = first; i < end; ++i)
            ranks[order[i]] = static_cast<double>(first + end + 1) / 2;
    }
    return ranks;
}

double matthews_correlation(Outcome const& outcome) {
    auto const table = confusion_of(outcome);
    double right = 0, all = 0, together = 0, labelled_squares = 0, predicted_squares = 0;
    for (std::size_t c = 0; c < table.size(); ++c) {
        double labelled = 0, predicted = 0;
        for (std::size_t k = 0; k < table.size(); ++k) {
            labelled += static_cast<double>(table[c][k]);
            predicted += static_cast<double>(table[k][c]);
        }
        right += static_cast<double>(table[c][c]);
        all += labelled;
        together += labelled * predicted;
        labelled_squares += labelled * labelled;
        predicted_squares += predicted * predicted;
    }
    double const labels = all * all - labelled_squares, found = all * all - predicted_squares;
    return labels == 0 || found == 0 ? 0 : (right * all - together) / std::sqrt(labels * found);
}

double class_roc_auc(Outcome const& outcome) {
    if (!has_logits(outcome)) return kNone;
    auto const classes = static_cast<std::size_t>(outcome.outputs);
    std::vector<std::vector<double>> scores(classes);
    std::vector<std::int32_t> labels;
    for (std::size_t i = 0; i < outcome.samples.size(); ++i) {
        if (outcome.samples[i].label < 0) continue;
        labels.push_back(outcome.samples[i].label);
        auto const shares = shares_of(outcome, i);
        for (std::size_t c = 0; c < classes; ++c) scores[c].push_back(shares[c]);
    }
    auto const of_class = [&](std::size_t c) {
        std::vector<bool> is;
        for (auto const label : labels) is.push_back(label == static_cast<std::int32_t>(c));
        return roc_auc(scores[c], is);
    };
    if (classes == 2) return of_class(1);
    double sum = 0;
    for (std::size_t c = 0; c < classes; ++c) sum += of_class(c);
    return sum / static_cast<double>(classes);
}

std::vector<ReliabilityBin> reliability_of(Outcome const& outcome) {
    if (!has_logits(outcome)) return {};
    std::vector<double> edges;
    for (std::size_t b = 0; b <= kBins; ++b)
        edges.push_back(static_cast<double>(b) / static_cast<double>(kBins));
    std::vector<ReliabilityBin> bins;
    for (std::size_t b = 0; b < kBins; ++b) bins.push_back({edges[b], edges[b + 1]});
    for (std::size_t i = 0; i < outcome.samples.size(); ++i) {
        auto const& sample = outcome.samples[i];
        if (sample.label < 0) continue;
        double const confidence = std::ranges::max(shares_of(outcome, i));
        auto const place = std::ranges::lower_bound(edges, confidence) - edges.begin();
        auto& bin = bins[static_cast<std::size_t>(
            std::clamp<std::ptrdiff_t>(place - 1, 0, std::ssize(bins) - 1))];
        ++bin.count;
        bin.right += sample.label == sample.prediction;
        bin.confidence += confidence;
    }
    return bins;
}

double calibration_error(Outcome const& outcome) {
    double away = 0, all = 0;
    for (auto const& bin : reliability_of(outcome)) {
        away += std::abs(static_cast<double>(bin.right) - bin.confidence);
        all += static_cast<double>(bin.count);
    }
    return all > 0 ? away / all : kNone;
}

double label_micro_f1(Outcome const& outcome) {
    LabelCounts all;
    for (std::int64_t output = 0; output < outcome.outputs; ++output) {
        LabelCounts const own = counts_of(pairs_of(outcome, output));
        all.both += own.both;
        all.there += own.there;
        all.found += own.found;
    }
    return all.f1();
}

double label_macro_f1(Outcome const& outcome) {
    double sum = 0;
    for (std::int64_t output = 0; output < outcome.outputs; ++output)
        sum += counts_of(pairs_of(outcome, output)).f1();
    return sum / static_cast<double>(outcome.outputs);
}

double exact_match(Outcome const& outcome) {
    std::int64_t known = 0, right = 0;
    for (auto const& sample : outcome.samples) {
        known += sample.trained > 0;
        right += sample.trained > 0 && sample.correct == sample.trained;
    }
    return known ? static_cast<double>(right) / static_cast<double>(known) : kNone;
}

double label_roc_auc(Outcome const& outcome) {
    double sum = 0;
    for (std::int64_t output = 0; output < outcome.outputs; ++output) {
        Pairs const pairs = pairs_of(outcome, output);
        std::vector<bool> is;
        for (double const target : pairs.targets) is.push_back(model::is_label_there(target));
        sum += roc_auc(pairs.found, is);
    }
    return sum / static_cast<double>(outcome.outputs);
}

} // namespace trireme::framework::evaluation
