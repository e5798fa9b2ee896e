// The divergence of a model's distribution of tokens from that of its frozen base, chunk by chunk
// of rows beside the cross-entropy (loss.cpp). Logits of the base exist for a chunk, as the model's
// do.
#pragma once
#include <ATen/ATen.h>

#include <cmath>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "framework/kernels/cross_entropy.hpp"
#include "framework/model/composed.hpp"
#include "framework/model/dispatch.hpp"
#include "framework/model/ops.hpp"
#include "framework/model/row_losses.hpp"
#include "parallel/compute_path.hpp"
#include "parallel/launches.hpp"
#include "parallel/linear.hpp"
#include "parallel/tensor_ops.hpp"

namespace trireme::framework::model {

/// Labels of a chunk of rows: on the host for kernels, else on the device.
struct ChunkLabels {
    std::int32_t const* here = nullptr;
    at::Tensor there = {};
    std::int64_t first_row = 0; ///< of the micro-batch
};

class BaseDivergence {
  public:
    /// `classes` of this rank, from `first_class`. `base` must outlive it. Collective over `axis`.
    BaseDivergence(BaseOutput const& base, std::int64_t classes, std::int64_t first_class,
                   parallel::TensorAxis const& axis)
        : base_(base), first_class_(first_class), group_(axis.size() > 1 ? axis.group : nullptr),
          hidden_(parallel::gather_sequence(base.hidden, axis)),
          table_(base.table.value().narrow(0, 0, classes)) {
        if (base.bias) bias_ = base.bias.value().narrow(0, 0, classes);
    }

    /// Compares the base's logits of rows from `first` with the model's, before these become
    /// gradients. Collective.
    void compare(at::Tensor const& logits, std::int64_t first, ChunkLabels const& labels) {
        at::Tensor const in = hidden_.narrow(0, first, logits.size(0));
        logits_ = for_kernel(parallel::product(in, table_.t(), bias_));
        if (base_.cap > 0) logits_.div_(base_.cap).tanh_().mul_(base_.cap);
        if (labels.there.defined())
            rows_ = composed::base_rows(logits_, logits, first_class_, labels.there, group_);
        else
            compare_on_host(logits, labels);
    }
    /// Adds to the losses of these rows and, with `gradient`, to the gradients. Local.
    void add(at::Tensor const& gradients, ChunkLabels const& labels, bool gradient, double scale,
             RowLosses& rows) {
        if (labels.there.defined())
            composed::add_divergence(rows_, base_.weight, scale, gradient, gradients,
                                     rows.waiting.back());
        else
            add_on_host(gradients, labels, gradient, scale, rows.loss.data() + labels.first_row);
        logits_ = at::Tensor();
        rows_ = {};
    }

  private:
    void compare_on_host(at::Tensor const& logits, ChunkLabels const& labels) {
        auto const n = static_cast<std::size_t>(logits.size(0));
        highest_.resize(n);
        sums_.resize(3 * n);
        std::vector<std::int32_t> best(n);
        parallel::note_kernel("trireme::row_maxima", {logits_}, {});
        with_kernel(logits_, first_class_, [&](auto const& part) {
            kernels::row_maxima(part, highest_.data(), best.data());
        });
        over_ranks(highest_, cluster::ReduceOp::max, "loss/base maxima");
        parallel::note_kernel("trireme::base_sums", {logits_, logits}, {logits_});
        with_kernel(logits_, first_class_, [&](auto const& part) {
            using T = std::remove_pointer_t<decltype(part.logits)>;
            kernels::base_sums(part, read<T>(logits), labels.here, highest_.data(), sums_.data());
        });
        over_ranks(sums_, cluster::ReduceOp::sum, "loss/base sums");
    }

    void over_ranks(std::vector<double>& numbers, cluster::ReduceOp op, char const* what) {
        if (group_)
            group_->all_reduce({numbers.data(), numbers.size(), cluster::DType::f64}, op, what)
                .wait();
    }

    void add_on_host(at::Tensor const& gradients, ChunkLabels const& labels, bool gradient,
                     double scale, double* loss) {
        std::size_t const n = highest_.size();
        for (std::size_t r = 0; r < n; ++r)
            if (labels.here[r] >= 0)
                loss[r] += base_.weight * (sums_[n + r] / sums_[r] - std::log(sums_[r]) -
                                           highest_[r] + sums_[2 * n + r] + loss[r]);
        if (!gradient) return;
        parallel::note_kernel("trireme::base_gradients", {logits_, gradients}, {gradients});
        with_kernel(logits_, first_class_, [&](auto const& part) {
            using T = std::remove_pointer_t<decltype(part.logits)>;
            kernels::base_gradients(part, labels.here, sums_.data(), base_.weight, scale,
                                    write<T>(gradients));
        });
    }

    BaseOutput const& base_;
    std::int64_t first_class_;
    cluster::Communicator* group_; ///< ranks that have the other classes; null: there are none
    at::Tensor hidden_, table_, bias_;
    at::Tensor logits_;                  ///< of the chunk that is being computed
    composed::BaseRows rows_;            ///< on a device
    std::vector<double> highest_, sums_; ///< on the host
};

} // namespace trireme::framework::model
