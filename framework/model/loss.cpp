// Heads' losses: the last linear layer and the cross-entropy in one, and sums per sample for metrics.
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "framework/kernels/cross_entropy.hpp"
#include "framework/model/dispatch.hpp"
#include "framework/model/ops.hpp"

namespace trireme::framework {

namespace {

using parallel::ParameterUse;
using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

constexpr std::int64_t kChunkElements = std::int64_t{1} << 22; ///< logits that exist at one time

/// Loss and prediction of each row of logits; the logits become gradients.
struct RowLosses {
    std::vector<double> loss;
    std::vector<std::int32_t> best;
};
void cross_entropy_rows(at::Tensor const& logits, std::int32_t const* labels, bool gradient, double scale, double* loss,
                        std::int32_t* best) {
    by_dtype(logits, [&](auto* data) {
        using T = std::remove_const_t<std::remove_pointer_t<decltype(data)>>;
        kernels::cross_entropy(logits.size(0), logits.size(1), write<T>(logits), labels, gradient, scale, loss, best);
    });
}

double add_up(std::vector<double> const& losses) {
    double sum = 0;
    for (double const l : losses) sum += l;
    return sum;
}

void append_language_results(Pass const& pass, RowLosses const& rows, Results& results) {
    auto const& slot = pass.slot;
    for (std::size_t i = 0; i < slot.sample_ids.size(); ++i) {
        if (slot.sample_ids[i] < 0) continue;
        SampleResult& r = results.samples.emplace_back();
        r.sample = slot.sample_ids[i];
        for (auto t = static_cast<std::size_t>(slot.offsets[i]); t < static_cast<std::size_t>(slot.offsets[i + 1]);
             ++t) {
            if (slot.token_labels[t] < 0) continue;
            r.loss += rows.loss[t];
            r.trained += 1;
            r.correct += rows.best[t] == slot.token_labels[t];
        }
    }
}

/// Rows with a label in chunks: logits, loss, and with a graph the gradients of x and of the weight, all on the way.
struct LanguageModelLoss : torch::autograd::Function<LanguageModelLoss> {
    static Variable forward(AutogradContext* context, Variable const& x, ParameterUse const* weight, Pass const* pass,
                            RowLosses* rows) {
        bool const graph = x.requires_grad();
        auto const& labels = pass->slot.token_labels;
        at::Tensor const& w = weight->value();
        rows->loss.resize(labels.size());
        rows->best.resize(labels.size());
        std::int64_t const rows_total = x.size(0),
                           chunk = std::clamp<std::int64_t>(kChunkElements / w.size(0), 1, rows_total);
        at::Tensor const dx = graph ? at::empty_like(x) : at::Tensor();
        at::Tensor dw;
        for (std::int64_t first = 0; first < rows_total; first += chunk) {
            std::int64_t const n = std::min(chunk, rows_total - first);
            at::Tensor const part = x.narrow(0, first, n);
            at::Tensor const logits = for_kernel(at::mm(part, w.t()));
            cross_entropy_rows(logits, labels.data() + first, graph, pass->loss_scale, rows->loss.data() + first,
                               rows->best.data() + first);
            if (!graph) continue;
            at::Tensor const dlogits = logits.to(x.scalar_type());
            at::Tensor out = dx.narrow(0, first, n);
            at::mm_out(out, dlogits, w);
            if (!weight->trainable()) continue;
            dw = dw.defined() ? dw.add_(at::mm(dlogits.t(), part)) : at::mm(dlogits.t(), part);
        }
        context->save_for_backward({dx, dw});
        context->saved_data["weight"] = reinterpret_cast<std::int64_t>(weight);
        return at::scalar_tensor(add_up(rows->loss) * pass->loss_scale, at::kDouble);
    }
    static variable_list backward(AutogradContext* context, variable_list const& gradients) {
        auto const saved = context->get_saved_variables();
        auto const& weight = *reinterpret_cast<ParameterUse const*>(context->saved_data["weight"].toInt());
        double const seed = gradients[0].item<double>();
        if (seed != 1.0) throw cluster::JobError("a loss is the end of the graph: its gradient is 1");
        if (weight.trainable()) weight.deliver(saved[1]);
        return {saved[0], {}, {}, {}};
    }
};

struct ClassificationLoss : torch::autograd::Function<ClassificationLoss> {
    static Variable forward(AutogradContext* context, Variable const& logits, Pass const* pass, RowLosses* rows) {
        at::Tensor const gradient = for_kernel(logits).clone();
        rows->loss.resize(static_cast<std::size_t>(logits.size(0)));
        rows->best.resize(rows->loss.size());
        cross_entropy_rows(gradient, pass->slot.sample_labels.data(), true, pass->loss_scale, rows->loss.data(),
                           rows->best.data());
        context->save_for_backward({gradient.to(logits.scalar_type())});
        return at::scalar_tensor(add_up(rows->loss) * pass->loss_scale, at::kDouble);
    }
    static variable_list backward(AutogradContext* context, variable_list const& gradients) {
        return {context->get_saved_variables()[0] * gradients[0].item<double>(), {}, {}};
    }
};

} // namespace

at::Tensor language_model_loss(at::Tensor const& x, ParameterUse const& weight, Pass const& pass, Results& results) {
    if (static_cast<std::int64_t>(pass.slot.token_labels.size()) != x.size(0))
        throw cluster::InputError("the data have no token labels, which a language-modeling head needs; prepare them "
                                  "with --task language-modeling");
    RowLosses rows;
    at::Tensor const loss = LanguageModelLoss::apply(x, &weight, &pass, &rows);
    append_language_results(pass, rows, results);
    return loss;
}

at::Tensor classification_loss(at::Tensor const& logits, Pass const& pass, Results& results) {
    auto const& slot = pass.slot;
    if (static_cast<std::int64_t>(slot.sample_labels.size()) != logits.size(0))
        throw cluster::InputError("the data have no label per sample, which a classification head needs; prepare them "
                                  "with --task classification");
    RowLosses rows;
    at::Tensor const loss = ClassificationLoss::apply(logits, &pass, &rows);
    at::Tensor const values = logits.detach().to(at::kFloat).contiguous();
    for (std::size_t i = 0; i < slot.sample_ids.size(); ++i) {
        if (slot.sample_ids[i] < 0) continue;
        bool const trained = slot.sample_labels[i] >= 0;
        results.samples.push_back({slot.sample_ids[i], rows.loss[i], trained,
                                   trained && rows.best[i] == slot.sample_labels[i], slot.sample_labels[i],
                                   rows.best[i]});
        float const* const row = values.const_data_ptr<float>() + static_cast<std::int64_t>(i) * values.size(1);
        results.logits.insert(results.logits.end(), row, row + values.size(1));
    }
    return loss;
}

} // namespace trireme::framework
