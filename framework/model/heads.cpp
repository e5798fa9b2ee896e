#include "framework/model/heads.hpp"

#include <fmt/format.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <utility>
#include <vector>

#include "cluster/error.hpp"
#include "framework/model/answers.hpp"
#include "framework/model/probabilities.hpp"
#include "framework/model/row_losses.hpp"
#include "parallel/compute_path.hpp"

namespace trireme::framework::model {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

/// One kind of head: what it does with the rows of a micro-batch.
struct RowHead {
    data::TaskColumn const& column; ///< that it learns from
    /// Losses of the rows; the logits become their gradients.
    void (*losses)(at::Tensor const& logits, Pass const& pass, RowLosses& rows);
    /// Fills in what was found for the i-th sample; heads of tokens, its loss too.
    void (*find)(Pass const& pass, RowLosses const& rows, std::size_t i, SampleResult& result,
                 Results& results);
    data::Per rows = data::Per::sample; ///< that the outputs have
};

template <data::TaskColumn const& column>
void class_losses(at::Tensor const& logits, Pass const& pass, RowLosses& rows) {
    if (parallel::composed(logits)) {
        rows.waiting.push_back(
            composed::CrossEntropy(
                {logits, 0, pass.ids.columns.at(column.name), true, pass.loss_scale}, nullptr)
                .finish());
        return;
    }
    rows.loss.resize(static_cast<std::size_t>(logits.size(0)));
    rows.best.resize(rows.loss.size());
    cross_entropy_rows(logits, pass.micro_batch.columns.labels_of(column).data(), true,
                       pass.loss_scale, rows.loss.data(), rows.best.data());
}
void find_class(Pass const& pass, RowLosses const& rows, std::size_t i, SampleResult& result,
                Results&) {
    result.label = pass.micro_batch.columns.labels_of(data::kClassLabel)[i];
    result.prediction = rows.best[i];
    result.trained = result.label >= 0;
    result.correct = result.trained && result.prediction == result.label;
}

/// The loss of one output and its derivative; the same of a tensor of outputs.
using ValueLoss = std::pair<double, double> (*)(double x, double target);
using TensorLoss = std::pair<at::Tensor, at::Tensor> (*)(at::Tensor const& x,
                                                         at::Tensor const& target);

std::pair<double, double> squared_error(double x, double target) {
    double const error = x - target;
    return {error * error, 2 * error};
}
std::pair<at::Tensor, at::Tensor> squared_errors(at::Tensor const& x, at::Tensor const& target) {
    at::Tensor const error = x - target;
    return {error.square(), error * 2};
}

/// Cross-entropy of a label that is there or not, as PyTorch's binary_cross_entropy_with_logits
/// has it.
std::pair<double, double> binary_cross_entropy(double x, double target) {
    return {std::max(x, 0.0) - x * target + std::log1p(std::exp(-std::abs(x))),
            sigmoid(x) - target};
}
std::pair<at::Tensor, at::Tensor> binary_cross_entropies(at::Tensor const& x,
                                                         at::Tensor const& target) {
    return {x.clamp_min(0) - x * target + x.abs().neg().exp().log1p(), x.sigmoid() - target};
}

/// Losses against real targets, summed over the outputs of a sample; a missing one has none.
template <ValueLoss of_value, TensorLoss of_tensor>
void target_losses(at::Tensor const& logits, Pass const& pass, RowLosses& rows) {
    if (logits.is_meta()) return;
    if (parallel::composed(logits)) {
        at::Tensor const targets = pass.ids.columns.at(data::kTargets.name).view(logits.sizes()),
                         missing = targets.isnan();
        auto const [loss, slope] =
            of_tensor(logits.to(at::kDouble), targets.masked_fill(missing, 0));
        rows.waiting.push_back(
            {loss.masked_fill(missing, 0).sum(1), at::zeros({logits.size(0)}, at::kLong)});
        logits.copy_(slope.masked_fill(missing, 0) * pass.loss_scale);
        return;
    }
    auto const& targets = pass.micro_batch.columns.reals_of(data::kTargets);
    rows.loss.assign(static_cast<std::size_t>(logits.size(0)), 0);
    by_dtype(logits, [&](auto* data) {
        auto* const x = write<std::remove_const_t<std::remove_pointer_t<decltype(data)>>>(logits);
        std::size_t const outputs = targets.size() / rows.loss.size();
        for (std::size_t k = 0; k < targets.size(); ++k) {
            auto const [loss, slope] =
                data::counts(targets[k])
                    ? of_value(static_cast<double>(x[k]), static_cast<double>(targets[k]))
                    : std::pair(0.0, 0.0);
            rows.loss[k / outputs] += loss;
            x[k] = static_cast<std::remove_reference_t<decltype(x[k])>>(slope * pass.loss_scale);
        }
    });
}
void find_numbers(Pass const& pass, RowLosses const& rows, std::size_t i, SampleResult& result,
                  Results& results) {
    auto const outputs = rows.logits.size(1);
    auto const first = pass.micro_batch.columns.reals_of(data::kTargets).begin() +
                       static_cast<std::int64_t>(i) * outputs;
    result.trained =
        std::count_if(first, first + outputs, [](float target) { return data::counts(target); });
    results.targets.insert(results.targets.end(), first, first + outputs);
}

void find_labels(Pass const& pass, RowLosses const& rows, std::size_t i, SampleResult& result,
                 Results& results) {
    find_numbers(pass, rows, i, result, results);
    std::int64_t const outputs = rows.logits.size(1);
    float const *const found = rows.logits.const_data_ptr<float>() +
                               static_cast<std::int64_t>(i) * outputs,
                       *const targets =
                           results.targets.data() + (std::ssize(results.targets) - outputs);
    for (std::int64_t k = 0; k < outputs; ++k)
        result.correct +=
            data::counts(targets[k]) && is_label_found(found[k]) == is_label_there(targets[k]);
}

void find_token_classes(Pass const& pass, RowLosses const& rows, std::size_t i,
                        SampleResult& result, Results& results) {
    auto const& labels = pass.micro_batch.columns.labels_of(data::kTokenClasses);
    for (auto t = static_cast<std::size_t>(pass.micro_batch.offsets[i]);
         t < static_cast<std::size_t>(pass.micro_batch.offsets[i + 1]); ++t) {
        if (labels[t] < 0) continue;
        result.loss += rows.loss[t];
        result.trained += 1;
        result.correct += rows.best[t] == labels[t];
        results.words.insert(results.words.end(), {labels[t], rows.best[t]});
    }
}

/// Cross-entropy of the first and of the last token of an answer, each over the tokens of its own
/// sample: two rows of losses for each sample.
void place_losses(at::Tensor const& logits, Pass const& pass, RowLosses& rows) {
    if (logits.is_meta()) return;
    auto const& offsets = pass.micro_batch.offsets;
    auto const n = std::ssize(pass.micro_batch.sample_ids);
    if (!parallel::composed(logits)) {
        auto const* const places = pass.micro_batch.columns.labels_of(data::kAnswer).data();
        rows.loss.resize(static_cast<std::size_t>(2 * n));
        rows.best.resize(rows.loss.size());
        for (std::int64_t i = 0; i < n; ++i)
            for (std::int64_t k = 0; k < 2; ++k) {
                at::Tensor const own = logits.slice(0, offsets[i], offsets[i + 1]).select(1, k),
                                 row = own.unsqueeze(0).contiguous();
                cross_entropy_rows(row, places + 2 * i + k, true, pass.loss_scale,
                                   rows.loss.data() + 2 * i + k, rows.best.data() + 2 * i + k);
                own.copy_(row[0]);
            }
        return;
    }
    // Samples side by side, filled up by places that have no share: [n, 2, longest].
    auto const& positions = pass.micro_batch.positions; // places in the sample
    std::vector<std::int64_t> samples;
    for (std::int64_t i = 0; i < n; ++i)
        samples.resize(samples.size() + offsets[i + 1] - offsets[i], i);
    std::int64_t const longest = std::ranges::max(positions) + 1;
    at::Tensor const sample = on_device(samples, logits.device()), place = pass.ids.positions;
    at::Tensor table =
        at::full({n, longest, 2}, -std::numeric_limits<double>::infinity(), logits.options());
    table.index_put_({sample, place}, logits);
    table = table.transpose(1, 2).contiguous().view({2 * n, longest});
    rows.waiting.push_back(
        composed::CrossEntropy(
            {table, 0, pass.ids.columns.at(data::kAnswer.name).flatten(), true, pass.loss_scale},
            nullptr)
            .finish());
    logits.copy_(table.view({n, 2, longest}).transpose(1, 2).index({sample, place}));
}
void find_answers(Pass const& pass, RowLosses const& rows, std::size_t i, SampleResult& result,
                  Results& results) {
    auto const& places = pass.micro_batch.columns.labels_of(data::kAnswer);
    for (auto k = 2 * i; k < 2 * i + 2; ++k) {
        result.loss += rows.loss[k];
        result.trained += places[k] >= 0;
        result.correct += places[k] >= 0 && rows.best[k] == places[k];
    }
    if (pass.training) return; // nobody asks
    auto const first = static_cast<std::size_t>(pass.micro_batch.offsets[i]),
               tokens = static_cast<std::size_t>(pass.micro_batch.offsets[i + 1]) - first;
    auto const& bytes = pass.micro_batch.columns.labels_of(data::kContextBytes);
    best_spans({rows.logits.const_data_ptr<float>() + 2 * first, 2 * tokens},
               std::span(bytes).subspan(2 * first, 2 * tokens), results.spans);
}

RowHead row_head(HeadKind head) {
    switch (head) {
    case HeadKind::language_model:
    case HeadKind::masked_language_model: break; // have their loss with their matrix in one
    case HeadKind::classification:
        return {data::kClassLabel, class_losses<data::kClassLabel>, find_class};
    case HeadKind::token_classification:
        return {data::kTokenClasses, class_losses<data::kTokenClasses>, find_token_classes,
                data::Per::token};
    case HeadKind::question_answering:
        return {data::kAnswer, place_losses, find_answers, data::Per::token};
    case HeadKind::regression:
        return {data::kTargets, target_losses<squared_error, squared_errors>, find_numbers};
    case HeadKind::multi_label:
        return {data::kTargets, target_losses<binary_cross_entropy, binary_cross_entropies>,
                find_labels};
    }
    throw cluster::JobError(
        fmt::format("a {} head has no rows of outputs without a loss", traits_of(head).name));
}

/// Multiplies losses and gradients of samples by the weights of their classes.
void weigh(at::Tensor const& gradient, Pass const& pass, std::vector<double> const& weights,
           RowLosses& rows) {
    if (gradient.is_meta()) return;
    std::vector<double> of_rows;
    for (auto const label : pass.micro_batch.columns.labels_of(data::kClassLabel))
        of_rows.push_back(label < 0 ? 0 : weights.at(static_cast<std::size_t>(label)));
    for (std::size_t i = 0; i < rows.loss.size(); ++i) rows.loss[i] *= of_rows[i];
    at::Tensor factors = at::tensor(of_rows, at::kDouble);
    if (!gradient.is_cpu()) factors = factors.pin_memory().to(gradient.device(), true);
    for (auto& chunk : rows.waiting) chunk.loss = chunk.loss * factors;
    gradient.mul_(factors.to(gradient.scalar_type()).unsqueeze(1));
}

struct RowsLoss : torch::autograd::Function<RowsLoss> {
    static Variable forward(AutogradContext* context, Variable const& logits, RowHead const* head,
                            Pass const* pass, RowLosses* rows,
                            std::vector<double> const* class_weights) {
        at::Tensor const gradient = for_kernel(logits).clone();
        head->losses(gradient, *pass, *rows);
        if (pass->training && !class_weights->empty())
            weigh(gradient, *pass, *class_weights, *rows);
        context->save_for_backward({gradient.to(logits.scalar_type())});
        if (!rows->waiting.empty()) return rows->sum() * pass->loss_scale;
        return at::scalar_tensor(add_up(rows->loss) * pass->loss_scale, at::kDouble);
    }
    static variable_list backward(AutogradContext* context, variable_list const& gradients) {
        return {context->get_saved_variables()[0] * gradients[0], {}, {}, {}, {}};
    }
};

void append_results(RowHead const& head, Pass const& pass, RowLosses const& rows,
                    Results& results) {
    std::int64_t const outputs = rows.logits.size(1);
    bool const of_tokens = head.rows == data::Per::token;
    auto const& offsets = pass.micro_batch.offsets;
    for (std::size_t i = 0; i < pass.micro_batch.sample_ids.size(); ++i) {
        if (pass.micro_batch.sample_ids[i] < 0) continue;
        SampleResult& result = results.samples.emplace_back();
        result.sample = pass.micro_batch.sample_ids[i];
        if (!of_tokens) result.loss = rows.loss[i];
        head.find(pass, rows, i, result, results);
        if (of_tokens && !pass.keep_logits) continue;
        auto const own_row = static_cast<std::int64_t>(i);
        auto const [first, end] =
            of_tokens ? std::pair(offsets[i], offsets[i + 1]) : std::pair(own_row, own_row + 1);
        float const* const own = rows.logits.const_data_ptr<float>();
        results.logits.insert(results.logits.end(), own + first * outputs, own + end * outputs);
    }
}

} // namespace

at::Tensor rows_loss(Config const& config, at::Tensor const& logits, Pass const& pass,
                     Results& results) {
    RowHead const head = row_head(config.head);
    bool const of_sample = head.column.per == data::Per::sample;
    if (pass.micro_batch.columns.entries_of(head.column) !=
        (of_sample ? std::ssize(pass.micro_batch.sample_ids) : logits.size(0)))
        throw cluster::InputError(fmt::format(
            "the data have no {} per {}, which a {} head needs; prepare them with "
            "the task of the run",
            head.column.what, of_sample ? "sample" : "token", traits_of(config.head).name));
    RowLosses rows;
    at::Tensor const loss = RowsLoss::apply(logits, &head, &pass, &rows, &config.class_weights);
    if (logits.is_meta()) return loss;
    rows.logits = logits.detach().to(at::kFloat).contiguous();
    finish_rows(std::move(rows), results, [&pass, head](RowLosses const& r, Results& to) {
        append_results(head, pass, r, to);
    });
    return loss;
}

} // namespace trireme::framework::model
