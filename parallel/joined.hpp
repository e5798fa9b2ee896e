// Tensors that lie side by side in one memory, seen as one tensor.
#pragma once
#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

namespace trireme::parallel {

/// Views `parts` as one tensor, as at::cat(parts, dim) would make it, where each begins at the
/// element that ends the one before along `dim`; undefined if they do not lie so. Their other sizes
/// and all strides must be equal for that. The view shares their memory and has no graph.
inline at::Tensor joined(std::vector<at::Tensor> const& parts, std::int64_t dim) {
    at::AutoDispatchBelowADInplaceOrView const no_graph;
    at::Tensor const& first = parts.front();
    auto shape = first.sizes().vec();
    std::int64_t& size = shape.at(static_cast<std::size_t>(dim));
    for (std::size_t i = 1; i < parts.size(); ++i) {
        at::Tensor const& part = parts[i];
        bool const beside =
            part.is_alias_of(first) && part.scalar_type() == first.scalar_type() &&
            part.strides() == first.strides() &&
            part.storage_offset() == first.storage_offset() + size * first.stride(dim);
        auto alike = part.sizes().vec();
        alike.at(static_cast<std::size_t>(dim)) = size;
        if (!beside || alike != shape) return {};
        size += part.size(dim);
    }
    return first.as_strided(shape, first.strides());
}

/// Views the columns of x[T, N] that belong to each of `widths`, which add up to N, without a
/// graph.
inline std::vector<at::Tensor> columns_of(at::Tensor const& x,
                                          std::vector<std::int64_t> const& widths) {
    at::AutoDispatchBelowADInplaceOrView const no_graph;
    return x.split_with_sizes(widths, 1);
}

/// Returns x with rows whose numbers lie side by side, whatever lies between two rows: x itself
/// where it has such.
inline at::Tensor dense_rows(at::Tensor const& x) {
    return x.stride(1) == 1 && x.stride(0) >= x.size(1) ? x : x.contiguous();
}

} // namespace trireme::parallel
