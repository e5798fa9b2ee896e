// Writing the files of a checkpoint. The protocol around them is PendingSave's.
#pragma once
#include <atomic>
#include <string>
#include <vector>

#include "framework/checkpoint/manifest.hpp"

namespace trireme::framework::checkpoint {

/// Describes the part of a tensor that this rank writes.
struct OwnedRange {
    std::string kind, name, dtype; ///< dtype: f32 | f64
    storage::Shape shape;          ///< of the whole tensor
    struct Piece {
        storage::Rectangle rectangle; ///< of the whole tensor
        void const* values;           ///< elements one after another, owned by the caller
    };
    std::vector<Piece> pieces;
};
/// Elements [first, first + count) of a row-major tensor, which lie one after another at `values`.
struct FlatValues {
    std::int64_t first, count;
    void const* values;
};
OwnedRange flat_range(std::string kind, std::string name, std::string dtype,
                      storage::Shape const& shape, FlatValues const& part);

/// Describes what one rank wrote: the pieces of each tensor, and its file with its hashes.
struct RankFile {
    std::vector<Tensor> tensors;
    File file;
};

/// Writes DIR/`file` (HDF5, one contiguous dataset per rectangle) and syncs it. Equal content is
/// equal bytes. Local. Throws JobError, also soon after `abandoned` became true.
RankFile write_rank_file(std::string const& directory, std::string const& file,
                         std::vector<OwnedRange> const& ranges, std::atomic<bool> const& abandoned);

/// Writes DIR/whole.h5, in which h5py sees every tensor whole: virtual datasets over the rank
/// files, NaN where a source is missing. Syncs it. Returns its record. Throws JobError.
File write_virtual_file(std::string const& directory, std::vector<Tensor> const& tensors);

} // namespace trireme::framework::checkpoint
