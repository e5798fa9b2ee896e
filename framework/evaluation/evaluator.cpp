#include "framework/evaluation/evaluator.hpp"

#include <algorithm>
#include <iterator>
#include <numeric>

#include "cluster/error.hpp"
#include "framework/evaluation/documents.hpp"
#include "framework/evaluation/gather_findings.hpp"
#include "framework/tasks/task.hpp"
#include "parallel/micro_batch_ranks.hpp"

namespace trireme::framework::evaluation {

void Evaluator::gather(model::Results const& mine, Outcome& outcome) const {
    auto const& mesh = model_.mesh();
    auto const samples = of_all(mesh, mine.samples, "evaluation/results");
    auto const logits = of_all(mesh, mine.logits, "evaluation/logits");
    bool const has_targets = outcome.findings == model::Findings::numbers ||
                             outcome.findings == model::Findings::label_sets;
    auto const targets =
        has_targets ? of_all(mesh, mine.targets, "evaluation/targets") : std::vector<float>{};
    auto const words = outcome.findings == model::Findings::token_classes
                           ? of_all(mesh, mine.words, "evaluation/words")
                           : std::vector<std::int32_t>{};
    auto const spans = outcome.findings == model::Findings::answers
                           ? of_all(mesh, mine.spans, "evaluation/answers")
                           : std::vector<model::AnswerSpan>{};
    std::vector<std::int64_t> first_word{0};
    for (auto const& sample : samples) first_word.push_back(first_word.back() + 2 * sample.trained);
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
        if (!words.empty())
            outcome.words.insert(outcome.words.end(), words.begin() + first_word[i],
                                 words.begin() + first_word[i + 1]);
        auto const span = spans.begin() + static_cast<std::ptrdiff_t>(i * model::kSpansOfWindow);
        if (!spans.empty())
            outcome.spans.insert(outcome.spans.end(), span, span + model::kSpansOfWindow);
    }
}

Outcome Evaluator::outcome(data::Dataset const& dataset, Progress const& progress) const {
    model::Results mine;
    std::int64_t done = 0;
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
        std::ranges::copy(found.words, std::back_inserter(mine.words));
        std::ranges::copy(found.spans, std::back_inserter(mine.spans));
        for (auto const& samples : plan.micro_batches) done += std::ssize(samples);
        if (progress) progress(done, dataset.size());
    }
    Outcome outcome{.findings = tasks::task_of(dataset.task().kind).findings(),
                    .outputs = std::ssize(dataset.label_names()),
                    .labels = dataset.label_names(),
                    .questions = dataset.questions()};
    gather(mine, outcome);
    bool complete = std::ssize(outcome.samples) == dataset.size();
    for (std::size_t i = 0; complete && i < outcome.samples.size(); ++i)
        complete = outcome.samples[i].sample == static_cast<std::int64_t>(i);
    if (!complete)
        throw cluster::JobError("evaluation saw " + std::to_string(outcome.samples.size()) +
                                " results for " + std::to_string(dataset.size()) + " samples");
    if (model::traits_of(tasks::task_of(dataset.task().kind).head()).rows != data::Per::sample)
        return outcome;
    auto known = documents_.find(dataset.fingerprint());
    if (known == documents_.end())
        known = documents_.emplace(dataset.fingerprint(), documents_of(dataset)).first;
    auto const& first = known->second;
    return first.empty() ? outcome : pool_windows(outcome, first, pooling_);
}

} // namespace trireme::framework::evaluation
