#include "framework/evaluation/evaluator.hpp"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <numeric>

#include "cluster/error.hpp"
#include "cluster/gather.hpp"
#include "framework/tasks/task.hpp"
#include "parallel/micro_batch_ranks.hpp"

namespace trireme::framework::evaluation {

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

/// Gives all stages the values of the last, which has the head.
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

void Evaluator::gather(model::Results const& mine, Outcome& outcome) const {
    auto& data = model_.mesh().data();
    auto& stages = model_.mesh().along(parallel::Axis::pipeline);
    auto const of_all = [&]<typename T>(std::vector<T> const& own, char const* name) {
        return from_last(stages, gather_all(data, own, name), name);
    };
    auto const samples = of_all(mine.samples, "evaluation/results");
    auto const logits = of_all(mine.logits, "evaluation/logits");
    auto const targets = outcome.findings == model::Findings::numbers
                             ? of_all(mine.targets, "evaluation/targets")
                             : std::vector<float>{};
    std::vector<std::size_t> order(samples.size());
    std::iota(order.begin(), order.end(), 0U);
    std::ranges::sort(order, {}, [&](auto i) { return samples[i].sample; });
    auto const append = [&](std::vector<float> const& rows, std::size_t i, std::vector<float>& to) {
        if (rows.empty()) return;
        auto const first = rows.begin() + static_cast<std::int64_t>(i) * outcome.outputs;
        to.insert(to.end(), first, first + outcome.outputs);
    };
    for (auto const i : order) {
        outcome.samples.push_back(samples[i]);
        append(logits, i, outcome.logits);
        append(targets, i, outcome.targets);
    }
}

Outcome Evaluator::outcome(data::Dataset const& dataset) const {
    model::Results mine;
    auto const& data = model_.mesh().data();
    for (auto const& plan : data::plan_evaluation(dataset, shape_)) {
        std::vector<model::Pass> passes;
        for (auto const& samples :
             parallel::own_micro_batches(plan.micro_batches, data.rank(), data.size()))
            passes.push_back(model::make_pass(dataset.read(samples, shape_.token_multiple), false,
                                              0, 0, 1.0, model_.store().options().device));
        model_.load(std::move(passes));
        model_.engine().forward(static_cast<std::int64_t>(plan.micro_batches.size()));
        model::Results const& found = model_.results();
        std::ranges::copy(found.samples, std::back_inserter(mine.samples));
        std::ranges::copy(found.logits, std::back_inserter(mine.logits));
        std::ranges::copy(found.targets, std::back_inserter(mine.targets));
    }
    Outcome outcome{.findings = tasks::task_of(dataset.task().kind).findings(),
                    .outputs = std::ssize(dataset.label_names())};
    gather(mine, outcome);
    bool complete = std::ssize(outcome.samples) == dataset.size();
    for (std::size_t i = 0; complete && i < outcome.samples.size(); ++i)
        complete = outcome.samples[i].sample == static_cast<std::int64_t>(i);
    if (!complete)
        throw cluster::JobError("evaluation saw " + std::to_string(outcome.samples.size()) +
                                " results for " + std::to_string(dataset.size()) + " samples");
    return outcome;
}

} // namespace trireme::framework::evaluation
