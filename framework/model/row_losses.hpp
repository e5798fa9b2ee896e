// Losses of rows of logits on their way to results, as the heads' losses share them.
#pragma once
#include <ATen/ATen.h>

#include <cstdint>
#include <utility>
#include <vector>

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
