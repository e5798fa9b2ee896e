#include "framework/evaluation/evaluator.hpp"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <numeric>

#include "cluster/error.hpp"
#include "cluster/gather.hpp"

namespace trireme::framework::evaluation {

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

bool is_better(std::string const& metric, double a, double b) {
    return metric == "loss" ? a < b : a > b;
}

namespace {

template <typename T>
std::vector<T> gather_all(cluster::Communicator& group, std::vector<T> const& mine,
                          char const* name) {
    static_assert(std::is_trivially_copyable_v<T>);
    std::vector<T> all;
    for (auto const& part : cluster::all_gather_bytes(
             group, {reinterpret_cast<char const*>(mine.data()), mine.size() * sizeof(T)}, name)) {
        std::size_t const before = all.size();
        all.resize(before + part.size() / sizeof(T));
        std::memcpy(all.data() + before, part.data(), part.size());
    }
    return all;
}

/// What the last stage has, on all of them: the head is there.
template <typename T>
std::vector<T> from_last(cluster::Communicator& stages, std::vector<T> values, char const* name) {
    std::string const bytes = cluster::broadcast_bytes(
        stages, {reinterpret_cast<char const*>(values.data()), values.size() * sizeof(T)},
        stages.size() - 1, name);
    values.resize(bytes.size() / sizeof(T));
    std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
}

} // namespace

model::Results Evaluator::gather(model::Results const& mine, std::size_t classes) const {
    auto& data = model_.mesh().data();
    auto& stages = model_.mesh().along(parallel::Axis::pipeline);
    model::Results const all{
        from_last(stages, gather_all(data, mine.samples, "evaluation/results"),
                  "evaluation/results"),
        from_last(stages, gather_all(data, mine.logits, "evaluation/logits"), "evaluation/logits")};
    std::vector<std::size_t> order(all.samples.size());
    std::iota(order.begin(), order.end(), 0U);
    std::ranges::sort(order, {}, [&](auto i) { return all.samples[i].sample; });
    model::Results sorted;
    for (auto const i : order) {
        sorted.samples.push_back(all.samples[i]);
        if (!all.logits.empty())
            for (std::size_t c = 0; c < classes; ++c)
                sorted.logits.push_back(all.logits[i * classes + c]);
    }
    return sorted;
}

model::Results Evaluator::results(data::Dataset const& dataset) const {
    model::Results mine;
    auto const ranks = static_cast<std::size_t>(model_.mesh().data().size()),
               rank = static_cast<std::size_t>(model_.mesh().data().rank());
    for (auto const& plan : data::plan_evaluation(dataset, shape_)) {
        std::vector<model::Pass> passes;
        for (std::size_t s = rank; s < plan.slots.size(); s += ranks)
            passes.push_back(model::make_pass(dataset.read(plan.slots[s], shape_.token_multiple),
                                              false, 0, 0, 1.0, model_.store().options().device));
        model_.load(std::move(passes));
        model_.engine().forward(static_cast<std::int64_t>(plan.slots.size()));
        std::ranges::copy(model_.results().samples, std::back_inserter(mine.samples));
        std::ranges::copy(model_.results().logits, std::back_inserter(mine.logits));
    }
    model::Results all = gather(mine, dataset.label_names().size());
    bool complete = all.samples.size() == static_cast<std::size_t>(dataset.size());
    for (std::size_t i = 0; complete && i < all.samples.size(); ++i)
        complete = all.samples[i].sample == static_cast<std::int64_t>(i);
    if (!complete)
        throw cluster::JobError("evaluation saw " + std::to_string(all.samples.size()) +
                                " results for " + std::to_string(dataset.size()) + " samples");
    return all;
}

Metrics Evaluator::evaluate(data::Dataset const& dataset) const {
    return summarize(results(dataset).samples, dataset.label_names().size());
}

Metrics summarize(std::vector<model::SampleResult> const& results, std::size_t classes) {
    Metrics metrics;
    metrics.samples = static_cast<std::int64_t>(results.size());
    std::int64_t trained = 0, correct = 0;
    if (classes) metrics.confusion.assign(classes, std::vector<std::int64_t>(classes));
    for (auto const& r : results) {
        metrics.loss += r.loss;
        trained += r.trained;
        correct += r.correct;
        if (classes && r.label >= 0)
            ++metrics.confusion[static_cast<std::size_t>(r.label)]
                               [static_cast<std::size_t>(r.prediction)];
    }
    if (trained == 0) return metrics;
    metrics.loss /= static_cast<double>(trained);
    metrics.accuracy = static_cast<double>(correct) / static_cast<double>(trained);
    std::int64_t seen = 0;
    for (std::size_t c = 0; c < classes; ++c) {
        std::int64_t labelled = 0, predicted = 0;
        for (std::size_t k = 0; k < classes; ++k) {
            labelled += metrics.confusion[c][k];
            predicted += metrics.confusion[k][c];
        }
        // As in scikit-learn, the mean is over the classes that occur or are predicted.
        if (labelled + predicted == 0) continue;
        ++seen;
        metrics.f1 += 2.0 * static_cast<double>(metrics.confusion[c][c]) /
                      static_cast<double>(labelled + predicted);
    }
    if (seen) metrics.f1 /= static_cast<double>(seen);
    return metrics;
}

} // namespace trireme::framework::evaluation
