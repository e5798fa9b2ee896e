// Losses of rows of logits on their way to results, as the heads' losses share them.
#pragma once
#include <ATen/ATen.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "cluster/communicator.hpp"
#include "data/token_weights.hpp"
#include "framework/kernels/cross_entropy.hpp"
#include "framework/model/composed.hpp"
#include "framework/model/dispatch.hpp"
#include "framework/model/pass.hpp"
#include "parallel/launches.hpp"

namespace trireme::framework::model {

/// Loss and prediction of each row of logits; the logits become gradients.
struct RowLosses {
    std::vector<double> loss;
    std::vector<std::int32_t> best;
    at::Tensor logits; ///< [T, V] float32, of Pass::keep_logits
    /// results of the composed path by chunk, from which loss and best are read
    std::vector<composed::RowLosses> waiting = {};

    at::Tensor sum() const {
        std::vector<at::Tensor> parts;
        for (auto const& chunk : waiting) parts.push_back(chunk.loss);
        return at::cat(parts).sum();
    }
    void read_back() {
        for (auto const& chunk : std::exchange(waiting, {})) {
            at::Tensor const l = chunk.loss.cpu(), b = chunk.best.to(at::kInt).cpu();
            loss.insert(loss.end(), read<double>(l), read<double>(l) + l.numel());
            best.insert(best.end(), read<std::int32_t>(b), read<std::int32_t>(b) + b.numel());
        }
        if (logits.defined()) logits = logits.cpu();
    }
};
inline void cross_entropy_rows(at::Tensor const& logits, std::int32_t const* labels, bool gradient,
                               double scale, double* loss, std::int32_t* best) {
    parallel::note_kernel("trireme::cross_entropy", {logits}, {gradient ? logits : at::Tensor()});
    by_dtype(logits, [&](auto* data) {
        using T = std::remove_const_t<std::remove_pointer_t<decltype(data)>>;
        kernels::cross_entropy(logits.size(0), logits.size(1), write<T>(logits), labels, gradient,
                               scale, loss, best);
    });
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
inline std::vector<double> best_of_ranks(at::Tensor const& logits, std::int64_t first,
                                         std::int32_t* best, cluster::Communicator& axis) {
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
inline void divided_rows(at::Tensor const& logits, std::int64_t first, LabeledRows const& rows,
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

/// The weight of each row in training, [T] float64 where the model is; undefined: all count once.
inline at::Tensor weights_of_rows(at::Tensor const& x, Pass const& pass) {
    auto const found = pass.ids.columns.find(data::kTokenWeights.name);
    if (!pass.training || x.is_meta() || found == pass.ids.columns.end()) return {};
    return found->second.clamp_min(0).to(at::kDouble) / data::kWeightUnit;
}

inline double add_up(std::vector<double> const& losses) {
    double sum = 0;
    for (double const l : losses) sum += l;
    return sum;
}

/// At once, or, of the composed path, when somebody asks. The pass outlives the results.
template <typename Append>
void finish_rows(RowLosses rows, Results& results, Append append) {
    if (rows.waiting.empty()) return append(rows, results);
    results.waiting.push_back([rows = std::move(rows), append](Results& to) mutable {
        rows.read_back();
        append(rows, to);
    });
}

} // namespace trireme::framework::model
