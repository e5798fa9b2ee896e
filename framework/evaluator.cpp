#include "framework/evaluator.hpp"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cstring>

#include "cluster/error.hpp"
#include "cluster/gather.hpp"

namespace trireme::framework {

double Metrics::value(std::string const& name) const {
    if (name == "loss") return loss;
    if (name == "accuracy") return accuracy;
    if (name == "f1") return f1;
    throw cluster::InputError("evaluation.metric: " + name + ": legal: loss, accuracy, f1");
}

nlohmann::ordered_json Metrics::to_json() const {
    nlohmann::ordered_json json{{"samples", samples}, {"loss", loss}, {"accuracy", accuracy}};
    if (!confusion.empty()) {
        json["f1"] = f1;
        json["confusion"] = confusion;
    }
    return json;
}

bool is_better(std::string const& metric, double a, double b) { return metric == "loss" ? a < b : a > b; }

std::vector<SampleResult> Evaluator::gather(std::vector<SampleResult> const& mine) const {
    static_assert(std::is_trivially_copyable_v<SampleResult>);
    std::vector<SampleResult> results;
    std::string_view const bytes{reinterpret_cast<char const*>(mine.data()), mine.size() * sizeof(SampleResult)};
    for (auto const& part : cluster::all_gather_bytes(data_, bytes, "evaluation/results")) {
        std::size_t const before = results.size();
        results.resize(before + part.size() / sizeof(SampleResult));
        std::memcpy(results.data() + before, part.data(), part.size());
    }
    std::sort(results.begin(), results.end(), [](auto const& a, auto const& b) { return a.sample < b.sample; });
    return results;
}

std::vector<SampleResult> Evaluator::results(data::Dataset const& dataset) const {
    at::NoGradGuard const no_graph;
    std::vector<SampleResult> mine;
    std::size_t slot = 0;
    for (auto const& plan : data::plan_evaluation(dataset, shape_)) {
        for (auto const& samples : plan.slots) {
            if (slot++ % static_cast<std::size_t>(data_.size()) != static_cast<std::size_t>(data_.rank())) continue;
            std::vector<Pass> passes;
            passes.push_back(make_pass(dataset.read(samples, shape_.token_multiple), false, 0, 0, 1.0));
            stage_.load(std::move(passes));
            at::Tensor boundary = at::zeros({1});
            for (std::size_t b = 0; b < stage_.block_count(); ++b) boundary = stage_.forward(b, boundary, 0);
            mine.insert(mine.end(), stage_.results().begin(), stage_.results().end());
        }
    }
    auto all = gather(mine);
    for (std::size_t i = 0; i < all.size(); ++i)
        if (all[i].sample != static_cast<std::int64_t>(i) || all.size() != static_cast<std::size_t>(dataset.size()))
            throw cluster::JobError("evaluation saw " + std::to_string(all.size()) + " results for " +
                                    std::to_string(dataset.size()) + " samples");
    return all;
}

Metrics Evaluator::evaluate(data::Dataset const& dataset) const { return summarize(results(dataset), dataset.label_names().size()); }

Metrics summarize(std::vector<SampleResult> const& results, std::size_t classes) {
    Metrics metrics;
    metrics.samples = static_cast<std::int64_t>(results.size());
    std::int64_t trained = 0, correct = 0;
    if (classes) metrics.confusion.assign(classes, std::vector<std::int64_t>(classes));
    for (auto const& r : results) {
        metrics.loss += r.loss;
        trained += r.trained;
        correct += r.correct;
        if (classes && r.label >= 0) ++metrics.confusion[static_cast<std::size_t>(r.label)][static_cast<std::size_t>(r.prediction)];
    }
    if (trained == 0) return metrics;
    metrics.loss /= static_cast<double>(trained);
    metrics.accuracy = static_cast<double>(correct) / static_cast<double>(trained);
    for (std::size_t c = 0; c < classes; ++c) {
        std::int64_t labelled = 0, predicted = 0;
        for (std::size_t k = 0; k < classes; ++k) {
            labelled += metrics.confusion[c][k];
            predicted += metrics.confusion[k][c];
        }
        // A class that neither occurs nor is predicted scores 0, as in scikit-learn's macro average.
        if (labelled + predicted) metrics.f1 += 2.0 * static_cast<double>(metrics.confusion[c][c]) / static_cast<double>(labelled + predicted);
    }
    if (classes) metrics.f1 /= static_cast<double>(classes);
    return metrics;
}

} // namespace trireme::framework
