// The loss of language models: the last linear layer and the cross-entropy in one, and sums per
// sample for metrics.
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "framework/model/base_divergence.hpp"
#include "framework/model/chunked_gradient.hpp"
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

/// Rows from which on the chunks of tensor ranks are two: products of half as many fill a device.
constexpr std::int64_t kHidden = 4096;

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
        if (pass.base) base_.emplace(*pass.base, real_, slice_.first, axis);
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
        std::int64_t const all = x_.size(0), chunk = rows_at_once();
        make_gradients(chunk < all);
        std::optional<UnderWay> before;
        for (std::int64_t first = 0; first < all; first += chunk) {
            std::int64_t const n = std::min(chunk, all - first);
            at::Tensor const logits = parallel::product(x_.narrow(0, first, n), w_.t(), b_);
            if (!composed() || base_) {
                in_steps(for_kernel(logits), first);
                continue;
            }
            UnderWay now = begin(logits, first);
            if (axis_.size() == 1) {
                end(now);
                continue;
            }
            // Ranks exchange the numbers of a chunk while the next chunk is multiplied.
            if (before) end(*before);
            before = std::move(now);
        }
        if (before) end(*before);
        if (pass_.keep_logits && axis_.size() > 1)
            parallel::finish(axis_.group->all_reduce(parallel::buffer_of(rows_.logits),
                                                     cluster::ReduceOp::sum, "loss/logits"),
                             rows_.logits);
    }

    bool composed() const { return parallel::composed(x_); }
    at::Tensor const& dx() const { return dx_; }               ///< undefined without a graph
    at::Tensor dw() const { return weight_sum_.to_deliver(); } ///< undefined: nothing is left
    at::Tensor const& db() const { return whole_db_.defined() ? whole_db_ : db_; }
    at::Tensor loss() const {
        if (composed()) return rows_.sum() * pass_.loss_scale;
        return at::scalar_tensor(add_up(rows_.loss) * pass_.loss_scale, at::kDouble);
    }

  private:
    /// A chunk on the path of a GPU, from its logits to their gradients.
    struct UnderWay {
        std::int64_t first;
        at::Tensor logits;
        composed::CrossEntropy losses;
    };

    bool graph() const { return x_.requires_grad(); }

    /// Rows of a chunk: on the path of a GPU chunks of one size, and two where what ranks exchange
    /// of one hides behind the other.
    std::int64_t rows_at_once() const {
        std::int64_t const all = x_.size(0), alive = axis_.size() > 1 ? 2 : 1;
        auto const& budgets = parallel::budgets;
        if (!composed()) return std::clamp<std::int64_t>(budgets.logits / slice_.local, 1, all);
        // Beside a base, logits of both, exponentials and a difference exist in float32.
        std::int64_t const bytes = base_ ? 4 * std::max<std::int64_t>(4, x_.element_size())
                                         : alive * x_.element_size(),
                           row = slice_.local * bytes,
                           most = std::clamp<std::int64_t>(budgets.logits_on_gpu / row, 1, all),
                           chunks = std::max((all + most - 1) / most, all >= kHidden ? alive : 1);
        return (all + chunks - 1) / chunks;
    }

    void make_gradients(bool several) {
        // Each addition in bf16 would lose what is below its rounding.
        sums_ = x_.scalar_type() == at::kBFloat16 && (several || composed()) ? at::kFloat
                                                                             : x_.scalar_type();
        if (!graph()) return;
        dx_ = at::empty_like(x_);
        if (weight_.trainable()) weight_sum_ = {weight_, real_, sums_, composed()};
        if (real_ < slice_.local && bias_ && bias_.trainable()) {
            whole_db_ = at::zeros_like(bias_.value(), sums_);
            db_ = whole_db_.narrow(0, 0, real_);
        }
    }

    /// A chunk on the host, and on a GPU where a base is compared with, which reads capped logits.
    void in_steps(at::Tensor const& logits, std::int64_t first) {
        if (cap_ > 0) logits.div_(cap_).tanh_().mul_(cap_);
        at::Tensor const slope = cap_ > 0 && graph() ? 1 - (logits / cap_).square_() : at::Tensor();
        std::int64_t const n = logits.size(0);
        keep(logits, first);
        if (base_) base_->compare(logits, first, labels_of(first, n));
        losses_of(logits, first);
        if (base_) base_->add(logits, labels_of(first, n), graph(), pass_.loss_scale, rows_);
        if (row_weights_.defined()) weigh(logits, first);
        if (slope.defined()) logits.mul_(slope);
        if (graph()) add_gradients(logits.to(x_.scalar_type()), first);
    }

    UnderWay begin(at::Tensor const& logits, std::int64_t first) {
        keep(cap_ > 0 && pass_.keep_logits ? for_kernel(logits).div(cap_).tanh_().mul_(cap_)
                                           : logits,
             first);
        return {first, logits, cross_entropy_of(logits, first, cap_)};
    }
    composed::CrossEntropy cross_entropy_of(at::Tensor const& logits, std::int64_t first,
                                            double cap) const {
        return {{logits, slice_.first, labels_of(first, logits.size(0)).there, graph(),
                 pass_.loss_scale, cap},
                axis_.size() > 1 ? axis_.group : nullptr};
    }
    void end(UnderWay& chunk) {
        rows_.waiting.push_back(chunk.losses.finish());
        if (row_weights_.defined()) weigh(chunk.logits, chunk.first);
        if (graph()) add_gradients(chunk.logits, chunk.first);
    }

    void keep(at::Tensor const& logits, std::int64_t first) {
        if (pass_.keep_logits && slice_.real > 0)
            rows_.logits.narrow(0, first, logits.size(0))
                .narrow(1, slice_.first, slice_.real)
                .copy_(logits);
    }

    ChunkLabels labels_of(std::int64_t first, std::int64_t n) const {
        if (!composed()) return {labels_.data() + first, {}, first};
        return {nullptr, pass_.ids.columns.at(data::kTokenLabels.name).narrow(0, first, n), first};
    }

    /// The logits become their gradients.
    void losses_of(at::Tensor const& logits, std::int64_t first) {
        double const scale = pass_.loss_scale;
        if (composed()) {
            rows_.waiting.push_back(cross_entropy_of(logits, first, 0.0).finish());
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
        if (!graph()) return;
        // The product with bfloat16 is made in float32 and rounded once.
        auto const dtype =
            logits.scalar_type() == at::kBFloat16 ? at::kFloat : logits.scalar_type();
        logits.mul_(factors.to(dtype).unsqueeze(1));
    }

    /// `dlogits`: gradients of logits, in the dtype of x.
    void add_gradients(at::Tensor const& dlogits, std::int64_t first) {
        std::int64_t const n = dlogits.size(0);
        at::Tensor out = dx_.narrow(0, first, n);
        at::mm_out(out, dlogits, w_);
        if (bias_ && bias_.trainable()) {
            at::Tensor const sum = dlogits.sum(0);
            db_ = db_.defined() ? db_.add_(sum) : sum.to(sums_);
        }
        if (weight_.trainable()) weight_sum_.add(dlogits.t(), x_.narrow(0, first, n));
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
    std::optional<BaseDivergence> base_;
    at::ScalarType sums_ = at::kFloat; ///< of the weight's gradient
    ChunkedGradient weight_sum_;
    at::Tensor dx_, whole_db_, db_; ///< whole: with rows of padding, which stay 0
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
        if (saved[1].defined()) weight.deliver(saved[1]);
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
