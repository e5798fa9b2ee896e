// Writing the files of a checkpoint. The protocol around them is RunCheckpoints'.
#pragma once
#include <ATen/ATen.h>

#include <string>
#include <vector>

#include "framework/checkpoint/manifest.hpp"

namespace trireme::framework {

/// What of a tensor this rank writes.
struct OwnedRange {
    std::string kind, name;
    Shape shape; ///< of the whole tensor
    struct Piece {
        Rectangle rectangle; ///< of the whole tensor
        at::Tensor values;   ///< float32 or float64, contiguous, as many elements
    };
    std::vector<Piece> pieces;
};
/// Elements [first, first + values.numel()) of the row-major tensor.
OwnedRange flat_range(std::string kind, std::string name, Shape const& shape, std::int64_t first,
                      at::Tensor const& values);

/// What one rank wrote: the pieces of each tensor, and its file with its hashes.
struct RankFile {
    std::vector<CheckpointTensor> tensors;
    CheckpointFile file;
};

/// Writes DIR/`file` (HDF5, one contiguous dataset per rectangle) and syncs it. Equal content is equal bytes. Local.
/// Throws JobError.
RankFile write_rank_file(std::string const& directory, std::string const& file, std::vector<OwnedRange> const& ranges);

/// Writes DIR/whole.h5, in which h5py sees every tensor whole: virtual datasets over the rank files, NaN where a source
/// is missing. Returns its record. Throws JobError.
CheckpointFile write_virtual_file(std::string const& directory, std::vector<CheckpointTensor> const& tensors);

} // namespace trireme::framework
