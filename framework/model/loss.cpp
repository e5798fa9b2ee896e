// The loss of language models: the last linear layer and the cross-entropy in one, and sums per
// sample for metrics.
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "framework/kernels/cross_entropy.hpp"
#include "framework/model/composed.hpp"
#include "framework/model/dispatch.hpp"
#include "framework/model/ops.hpp"
#include "framework/model/row_losses.hpp"
#include "parallel/budgets.hpp"
#include "parallel/compute_path.hpp"
#include "parallel/graph_address.hpp"
#include "parallel/tensor_buffer.hpp"

namespace trireme::framework::model {

namespace {

using parallel::ParameterUse;
using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

void append_language_results(Pass const& pass, RowLosses const& rows, Results& results) {
    auto const& micro_batch = pass.micro_batch;
    auto const& labels = micro_batch.columns.labels_of(data::kTokenLabels);
    for (std::size_t i = 0; i < micro_batch.sample_ids.size(); ++i) {
        if (micro_batch.sample_ids[i] < 0) continue;
        SampleResult& r = results.samples.emplace_back();
        r.sample = micro_batch.sample_ids[i];
        for (auto t = static_cast<std::size_t>(micro_batch.offsets[i]);
             t < static_cast<std::size_t>(micro_batch.offsets[i + 1]); ++t) {
            if (labels[t] < 0) continue;
            r.loss += rows.loss[t];
            r.trained += 1;
            r.correct += rows.best[t] == labels[t];
        }
        if (!rows.logits.defined()) continue;
        at::Tensor const own =
            rows.logits.slice(0, micro_batch.offsets[i], micro_batch.offsets[i + 1]);
        results.logits.insert(results.logits.end(), own.const_data_ptr<float>(),
                              own.const_data_ptr<float>() + own.numel());
    }
}

/// Computes the same where each rank of `axis` has only the logits of classes [first, first +
/// logits.size(1)).
void divided_rows(at::Tensor const& logits, std::int64_t first, std::int32_t const* labels,
                  bool gradient, double scale, double* loss, std::int32_t* best,
                  cluster::Communicator& axis) {
    auto const n = static_cast<std::size_t>(logits.size(0));
    std::vector<double> highest(n), sums(2 * n); // sums: of exponentials, then the label's score
    std::vector<std::int32_t> own_best(n);
    auto const with_kernel = [&](auto const& f) {
        by_dtype(logits, [&](auto* data) {
            using T = std::remove_const_t<std::remove_pointer_t<decltype(data)>>;
            f(kernels::ClassStretch<T>{logits.size(0), logits.size(1), first, write<T>(logits)});
        });
    };
    with_kernel(
        [&](auto const& part) { kernels::row_maxima(part, highest.data(), own_best.data()); });
    std::vector<double> const own_highest = highest;
    axis.all_reduce({highest.data(), n, cluster::DType::f64}, cluster::ReduceOp::max, "loss/maxima")
        .wait();
    // The lowest class of those that reach the maximum, as one rank would find it.
    for (std::size_t r = 0; r < n; ++r)
        best[r] =
            own_highest[r] == highest[r] ? own_best[r] : std::numeric_limits<std::int32_t>::max();
    axis.all_reduce({best, n, cluster::DType::i32}, cluster::ReduceOp::min, "loss/predictions")
        .wait();
    with_kernel(
        [&](auto const& part) { kernels::row_sums(part, labels, highest.data(), sums.data()); });
    axis.all_reduce({sums.data(), 2 * n, cluster::DType::f64}, cluster::ReduceOp::sum, "loss/sums")
        .wait();
    for (std::size_t r = 0; r < n; ++r) {
        loss[r] = labels[r] >= 0 ? std::log(sums[r]) + highest[r] - sums[n + r] : 0.0;
        if (labels[r] < 0) best[r] = -1;
    }
    if (gradient)
        with_kernel(
            [&](auto const& part) { kernels::row_gradients(part, labels, sums.data(), scale); });
}

/// Rows with a label in chunks: logits, loss, and with a graph the gradients of x and of the
/// weight, all on the way.
struct LanguageModelLoss : torch::autograd::Function<LanguageModelLoss> {
    static Variable forward(AutogradContext* context, Variable const& x, ParameterUse const* weight,
                            Pass const* pass, RowLosses* rows, parallel::TensorAxis const& axis) {
        bool const graph = x.requires_grad();
        auto const& labels = pass->micro_batch.columns.labels_of(data::kTokenLabels);
        // Padding in the vocabulary is no class: it has no score.
        auto const& slice = weight->parameter().slice();
        std::int64_t const real = slice.real;
        at::Tensor const w = weight->value().narrow(0, 0, real);
        bool const composed = parallel::composed(x);
        if (!composed) {
            rows->loss.resize(labels.size());
            rows->best.resize(labels.size());
        }
        std::int64_t const rows_total = x.size(0),
                           chunk = std::clamp<std::int64_t>(parallel::budgets.logits / slice.local,
                                                            1, rows_total);
        // Each addition in bf16 would lose what is below its rounding.
        bool const added_in_float = x.scalar_type() == at::kBFloat16 && chunk < rows_total;
        at::ScalarType const sums = added_in_float ? at::kFloat : x.scalar_type();
        // Asked for, logits are whole rows also where the vocabulary is divided.
        if (pass->keep_logits)
            rows->logits =
                x.new_zeros({rows_total, weight->parameter().spec().shape[0]}, at::kFloat);
        at::Tensor const dx = graph ? at::empty_like(x) : at::Tensor();
        at::Tensor const whole_dw = graph && weight->trainable() && real < slice.local
                                        ? at::zeros_like(weight->value(), sums)
                                        : at::Tensor();
        at::Tensor dw = whole_dw.defined() ? whole_dw.narrow(0, 0, real) : at::Tensor();
        for (std::int64_t first = 0; first < rows_total; first += chunk) {
            std::int64_t const n = std::min(chunk, rows_total - first);
            at::Tensor const part = x.narrow(0, first, n);
            at::Tensor const logits = for_kernel(at::mm(part, w.t()));
            if (pass->keep_logits && slice.real > 0)
                rows->logits.narrow(0, first, n).narrow(1, slice.first, slice.real).copy_(logits);
            if (composed)
                rows->waiting.push_back(composed::cross_entropy(
                    logits, slice.first,
                    pass->ids.columns.at(data::kTokenLabels.name).narrow(0, first, n), graph,
                    pass->loss_scale, axis.size() > 1 ? axis.group : nullptr));
            else if (axis.size() > 1)
                divided_rows(logits, slice.first, labels.data() + first, graph, pass->loss_scale,
                             rows->loss.data() + first, rows->best.data() + first, *axis.group);
            else
                cross_entropy_rows(logits, labels.data() + first, graph, pass->loss_scale,
                                   rows->loss.data() + first, rows->best.data() + first);
            if (!graph) continue;
            at::Tensor const dlogits = logits.to(x.scalar_type());
            at::Tensor out = dx.narrow(0, first, n);
            at::mm_out(out, dlogits, w);
            if (!weight->trainable()) continue;
            at::Tensor const product = at::mm(dlogits.t(), part);
            dw = dw.defined() ? dw.add_(product) : product.to(sums);
        }
        if (pass->keep_logits && axis.size() > 1)
            parallel::finish(axis.group->all_reduce(parallel::buffer_of(rows->logits),
                                                    cluster::ReduceOp::sum, "loss/logits"),
                             rows->logits);
        context->save_for_backward({dx, whole_dw.defined() ? whole_dw : dw});
        parallel::remember(context, "weight", *weight);
        if (composed) return rows->sum() * pass->loss_scale;
        return at::scalar_tensor(add_up(rows->loss) * pass->loss_scale, at::kDouble);
    }
    static variable_list backward(AutogradContext* context, variable_list const& gradients) {
        auto const saved = context->get_saved_variables();
        auto const& weight = parallel::recall<ParameterUse const>(context, "weight");
        // A GPU's would have to be read back.
        if (gradients[0].is_cpu() && gradients[0].item<double>() != 1.0)
            throw cluster::JobError("a loss is the end of the graph: its gradient is 1");
        if (weight.trainable()) weight.deliver(saved[1]);
        return {saved[0], {}, {}, {}, {}};
    }
};

} // namespace

at::Tensor language_model_loss(at::Tensor const& x, ParameterUse const& weight, Pass const& pass,
                               Results& results, parallel::TensorAxis const& axis) {
    if (std::ssize(pass.micro_batch.columns.labels_of(data::kTokenLabels)) != x.size(0))
        throw cluster::InputError(
            "the data have no token labels, which a language-modeling head needs; prepare them "
            "with --task language-modeling or generation");
    RowLosses rows;
    at::Tensor const loss = LanguageModelLoss::apply(x, &weight, &pass, &rows, axis);
    finish_rows(std::move(rows), results,
                [&pass](RowLosses const& r, Results& to) { append_language_results(pass, r, to); });
    return loss;
}

} // namespace trireme::framework::model
