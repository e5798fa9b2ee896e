// The two halves of what embeddings do: rows of tokens, and what is added to them; for whoever puts
// other rows in the place of those of the tokens. T tokens, D width, t tensor ranks.
#pragma once
#include <ATen/ATen.h>

#include "framework/model/transformer.hpp"

namespace trireme::framework::model {

/// Rows of the token table, scaled as the family scales them.
inline at::Tensor scaled_rows(at::Tensor const& x, Config const& config) {
    double scale = config.embedding_scale;
    if (scale == 1) return x;
    if (config.round_embedding_scale)
        scale = at::scalar_tensor(scale, x.scalar_type()).item().toDouble();
    return x * scale;
}

/// The ids of this rank's stretch of the sequence.
inline at::Tensor own_ids(at::Tensor const& ids, parallel::TensorAxis const& axis) {
    std::int64_t const rows = ids.size(0) / axis.size();
    return ids.narrow(0, axis.rank() * rows, rows);
}

/// Handles of tables that a model may have beside that of tokens. The graph keeps their addresses:
/// they outlive it.
struct PlaceTables {
    Config const& config;
    parallel::ParameterUse const &positions, &segments;
    LinearUse const& norm;
};
/// Adds positions and segments to such rows, [T / t, D], and normalizes, as far as the family does.
/// `anchor` as in parallel::embedding.
at::Tensor with_places(at::Tensor const& rows, PlaceTables const& tables, at::Tensor const& anchor,
                       Pass const& pass, parallel::TensorAxis const& axis);

} // namespace trireme::framework::model
