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
#include "parallel/linear.hpp"
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

/// Labels of rows, and where their losses and predictions go.
struct LabeledRows {
    std::int32_t const* labels;
    double* loss;
    std::int32_t* best;
};

/// Calls f(kernels::ClassStretch) of logits whose first class is `first`.
template <typename F>
void with_kernel(at::Tensor const& logits, std::int64_t first, F const& f) {
    by_dtype(logits, [&](auto* data) {
        using T = std::remove_const_t<std::remove_pointer_t<decltype(data)>>;
        f(kernels::ClassStretch<T>{logits.size(0), logits.size(1), first, write<T>(logits)});
    });
}

/// Highest score of each row over all ranks, and in `best` the class that has it: the lowest of
/// those that reach it, as one rank would find it. Collective.
std::vector<double> best_of_ranks(at::Tensor const& logits, std::int64_t first, std::int32_t* best,
                                  cluster::Communicator& axis) {
    auto const n = static_cast<std::size_t>(logits.size(0));
    std::vector<double> highest(n);
    std::vector<std::int32_t> own_best(n);
    parallel::note_kernel("trireme::row_maxima", {logits}, {});
    with_kernel(logits, first, [&](auto const& part) {
        kernels::row_maxima(part, highest.data(), own_best.data());
    });
    std::vector<double> const own_highest = highest;
    axis.all_reduce({highest.data(), n, cluster::DType::f64}, cluster::ReduceOp::max, "loss/maxima")
        .wait();
    for (std::size_t r = 0; r < n; ++r)
        best[r] =
            own_highest[r] == highest[r] ? own_best[r] : std::numeric_limits<std::int32_t>::max();
    axis.all_reduce({best, n, cluster::DType::i32}, cluster::ReduceOp::min, "loss/predictions")
        .wait();
    return highest;
}

/// Does what cross_entropy_rows does, where each rank of `axis` has the logits of classes
/// [first, first + logits.size(1)) alone.
void divided_rows(at::Tensor const& logits, std::int64_t first, LabeledRows const& rows,
                  bool gradient, double scale, cluster::Communicator& axis) {
    auto const n = static_cast<std::size_t>(logits.size(0));
    std::vector<double> const highest = best_of_ranks(logits, first, rows.best, axis);
    std::vector<double> sums(2 * n); // of exponentials, then the label's score
    parallel::note_kernel("trireme::row_sums", {logits}, {logits});
    with_kernel(logits, first, [&](auto const& part) {
        kernels::row_sums(part, rows.labels, highest.data(), sums.data());
    });
    axis.all_reduce({sums.data(), 2 * n, cluster::DType::f64}, cluster::ReduceOp::sum, "loss/sums")
        .wait();
    for (std::size_t r = 0; r < n; ++r) {
        bool const counts = rows.labels[r] >= 0;
        rows.loss[r] = counts ? std::log(sums[r]) + highest[r] - sums[n + r] : 0.0;
        if (!counts) rows.best[r] = -1;
    }
    if (!gradient) return;
    parallel::note_kernel("trireme::row_gradients", {logits}, {logits});
    with_kernel(logits, first, [&](auto const& part) {
        kernels::row_gradients(part, rows.labels, sums.data(), scale);
    });
}

/// Rows of one micro-batch in chunks: logits, loss, and with a graph the gradients of x and of the
/// weight, all on the way.
class ChunkedLoss {
  public:
    ChunkedLoss(at::Tensor const& x, VocabularyUse const& layer, Pass const& pass, RowLosses& rows,
                parallel::TensorAxis const& axis)
        : x_(x), weight_(layer.weight), bias_(layer.bias), pass_(pass), rows_(rows), axis_(axis),
          cap_(layer.cap), labels_(pass.micro_batch.columns.labels_of(data::kTokenLabels)),
          slice_(weight_.parameter().slice()),
          // Padding in the vocabulary is no class: it has no score.
          real_(slice_.real), w_(weight_.value().narrow(0, 0, real_)),
          row_weights_(weights_of_rows(x, pass)) {
        if (bias_) b_ = bias_.value().narrow(0, 0, real_);
        if (!composed()) {
            rows.loss.resize(labels_.size());
            rows.best.resize(labels_.size());
        }
        // Asked for, logits are whole rows also where the vocabulary is divided.
        if (pass.keep_logits)
            rows.logits = x.new_zeros({x.size(0), weight_.parameter().spec().shape[0]}, at::kFloat);
    }

    /// Collective over the axis.
    void compute() {
        std::int64_t const all = x_.size(0), chunk = std::clamp<std::int64_t>(
                                                 parallel::budgets.logits / slice_.local, 1, all);
        make_gradients(chunk < all);
        for (std::int64_t first = 0; first < all; first += chunk) {
            std::int64_t const n = std::min(chunk, all - first);
            at::Tensor const in = x_.narrow(0, first, n);
            at::Tensor const logits = for_kernel(parallel::product(in, w_.t(), b_));
            if (cap_ > 0) logits.div_(cap_).tanh_().mul_(cap_);
            at::Tensor const slope =
                cap_ > 0 && graph() ? 1 - (logits / cap_).square_() : at::Tensor();
            keep(logits, first);
            losses_of(logits, first);
            if (row_weights_.defined()) weigh(logits, first);
            if (slope.defined()) logits.mul_(slope);
            if (graph()) add_gradients(logits, first);
        }
        if (pass_.keep_logits && axis_.size() > 1)
            parallel::finish(axis_.group->all_reduce(parallel::buffer_of(rows_.logits),
                                                     cluster::ReduceOp::sum, "loss/logits"),
                             rows_.logits);
    }

    bool composed() const { return parallel::composed(x_); }
    at::Tensor const& dx() const { return dx_; } ///< undefined without a graph
    at::Tensor const& dw() const { return whole_dw_.defined() ? whole_dw_ : dw_; }
    at::Tensor const& db() const { return whole_db_.defined() ? whole_db_ : db_; }
    at::Tensor loss() const {
        if (composed()) return rows_.sum() * pass_.loss_scale;
        return at::scalar_tensor(add_up(rows_.loss) * pass_.loss_scale, at::kDouble);
    }

  private:
    bool graph() const { return x_.requires_grad(); }

    void make_gradients(bool several) {
        // Each addition in bf16 would lose what is below its rounding.
        sums_ = x_.scalar_type() == at::kBFloat16 && several ? at::kFloat : x_.scalar_type();
        if (graph()) dx_ = at::empty_like(x_);
        if (!graph() || real_ == slice_.local) return;
        if (weight_.trainable()) {
            whole_dw_ = at::zeros_like(weight_.value(), sums_);
            dw_ = whole_dw_.narrow(0, 0, real_);
        }
        if (bias_ && bias_.trainable()) {
            whole_db_ = at::zeros_like(bias_.value(), sums_);
            db_ = whole_db_.narrow(0, 0, real_);
        }
    }

    void keep(at::Tensor const& logits, std::int64_t first) {
        if (pass_.keep_logits && slice_.real > 0)
            rows_.logits.narrow(0, first, logits.size(0))
                .narrow(1, slice_.first, slice_.real)
                .copy_(logits);
    }

    /// The logits become their gradients.
    void losses_of(at::Tensor const& logits, std::int64_t first) {
        double const scale = pass_.loss_scale;
        if (composed()) {
            auto const& labels = pass_.ids.columns.at(data::kTokenLabels.name);
            rows_.waiting.push_back(composed::cross_entropy(
                logits, slice_.first, labels.narrow(0, first, logits.size(0)), graph(), scale,
                axis_.size() > 1 ? axis_.group : nullptr));
            return;
        }
        LabeledRows const rows{labels_.data() + first, rows_.loss.data() + first,
                               rows_.best.data() + first};
        if (axis_.size() > 1)
            divided_rows(logits, slice_.first, rows, graph(), scale, *axis_.group);
        else
            cross_entropy_rows(logits, rows.labels, graph(), scale, rows.loss, rows.best);
    }

    /// Multiplies losses of rows, and their gradients, by the weights of the rows.
    void weigh(at::Tensor const& logits, std::int64_t first) {
        at::Tensor const factors = row_weights_.narrow(0, first, logits.size(0));
        if (composed()) {
            rows_.waiting.back().loss = rows_.waiting.back().loss * factors;
        } else {
            double const* const of_row = factors.const_data_ptr<double>();
            for (std::int64_t r = 0; r < logits.size(0); ++r)
                rows_.loss[static_cast<std::size_t>(first + r)] *= of_row[r];
        }
        if (graph()) logits.mul_(factors.to(logits.scalar_type()).unsqueeze(1));
    }

    void add_gradients(at::Tensor const& logits, std::int64_t first) {
        std::int64_t const n = logits.size(0);
        at::Tensor const dlogits = logits.to(x_.scalar_type());
        at::Tensor out = dx_.narrow(0, first, n);
        at::mm_out(out, dlogits, w_);
        if (bias_ && bias_.trainable()) {
            at::Tensor const sum = dlogits.sum(0);
            db_ = db_.defined() ? db_.add_(sum) : sum.to(sums_);
        }
        if (!weight_.trainable()) return;
        at::Tensor const product = at::mm(dlogits.t(), x_.narrow(0, first, n));
        dw_ = dw_.defined() ? dw_.add_(product) : product.to(sums_);
    }

    at::Tensor const& x_;
    ParameterUse const &weight_, &bias_; ///< there may be no bias
    Pass const& pass_;
    RowLosses& rows_;
    parallel::TensorAxis const& axis_;
    double cap_; ///< of logits; 0: none
    std::vector<std::int32_t> const& labels_;
    parallel::TensorSlice slice_;
    std::int64_t real_; ///< classes of this rank, padding left out
    at::Tensor w_, b_, row_weights_;
    at::ScalarType sums_ = at::kFloat;              ///< of the weight's gradient
    at::Tensor dx_, whole_dw_, dw_, whole_db_, db_; ///< whole: with rows of padding, which stay 0
};

struct LanguageModelLoss : torch::autograd::Function<LanguageModelLoss> {
    static Variable forward(AutogradContext* context, Variable const& x, VocabularyUse const* layer,
                            Pass const* pass, RowLosses* rows, parallel::TensorAxis const& axis) {
        ChunkedLoss chunks(x, *layer, *pass, *rows, axis);
        chunks.compute();
        context->save_for_backward({chunks.dx(), chunks.dw(), chunks.db()});
        parallel::remember(context, "weight", layer->weight);
        parallel::remember(context, "bias", layer->bias);
        return chunks.loss();
    }
    static variable_list backward(AutogradContext* context, variable_list const& gradients) {
        auto const saved = context->get_saved_variables();
        auto const& weight = parallel::recall<ParameterUse const>(context, "weight");
        auto const& bias = parallel::recall<ParameterUse const>(context, "bias");
        // A GPU's would have to be read back.
        if (gradients[0].is_cpu() && gradients[0].item<double>() != 1.0)
            throw cluster::JobError("a loss is the end of the graph: its gradient is 1");
        if (weight.trainable()) weight.deliver(saved[1]);
        if (bias && bias.trainable()) bias.deliver(saved[2]);
        return {saved[0], {}, {}, {}, {}};
    }
};

} // namespace

at::Tensor language_model_loss(at::Tensor const& x, VocabularyUse const& layer, Pass const& pass,
                               Results& results, parallel::TensorAxis const& axis) {
    if (std::ssize(pass.micro_batch.columns.labels_of(data::kTokenLabels)) != x.size(0))
        throw cluster::InputError(
            "the data have no token labels, which a language-modeling head needs; prepare them "
            "with --task language-modeling or generation");
    RowLosses rows;
    at::Tensor const loss = LanguageModelLoss::apply(x, &layer, &pass, &rows, axis);
    finish_rows(std::move(rows), results,
                [&pass](RowLosses const& r, Results& to) { append_language_results(pass, r, to); });
    return loss;
}

} // namespace trireme::framework::model
