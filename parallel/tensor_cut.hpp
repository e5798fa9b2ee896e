// How one dim of a tensor is divided over the tensor axis (Shoeybi et al., "Megatron-LM", 2019,
// section 3). Pure integers.
#pragma once
#include <cstdint>

namespace trireme::parallel {

/// A dim of `groups` x `items` x `size` elements: kv heads x query heads of each x head size, or
/// rows x 1 x 1. Ranks get whole groups, padded with zeros to equal counts. When there are fewer
/// groups than ranks (grouped-query attention) and the ranks are a multiple of them, several ranks
/// share a group: its items are divided among them (query heads), or each holds a copy (key and
/// value heads).
struct TensorCut {
    enum class Share : std::uint8_t { never, divide, copy };

    int dim = -1; ///< -1: every rank holds the whole tensor
    std::int64_t groups = 1, items = 1, size = 1;
    Share share = Share::never;

    bool whole() const { return dim < 0; }
    std::int64_t extent() const { return groups * items * size; }
};

/// The part of the dim that one rank holds: elements [first, first + real) and zeros up to `local`.
struct TensorSlice {
    std::int64_t first = 0, real = 0, local = 0;
    int copies = 1; ///< consecutive ranks that hold the same slice
};

/// `extent`: of the dim, for a cut that divides nothing.
TensorSlice slice_of(TensorCut const& cut, std::int64_t extent, int ranks, int rank);

} // namespace trireme::parallel
