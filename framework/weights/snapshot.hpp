// Holds what a rank writes into a checkpoint, apart from the store that training goes on to change.
#pragma once
#include <ATen/ATen.h>

#include <vector>

#include "framework/checkpoint/writer.hpp"
#include "parallel/parameter_store.hpp"

namespace trireme::framework::weights {

constexpr char const* kStateKinds[] = {"weight", "moment1", "moment2", "average"};
at::Tensor const& flat_of(parallel::Unit const& unit, std::string_view kind);
storage::LocalBlock block_of(parallel::Parameter const& parameter);
/// The elements of `local`, a rectangle of the parameter's slice, out of elements [first, first +
/// values) of it.
at::Tensor pick(parallel::Parameter const& parameter, storage::Rectangle const& local,
                std::int64_t first, at::Tensor const& values);

class Snapshot {
  public:
    /// `copies`: the ranges lie in host memory of their own, of the size of what this rank writes,
    /// which is kept from one call to the next. Otherwise they are the store's memory where that is
    /// possible. `store` must outlive this.
    Snapshot(parallel::ParameterStore const& store, bool copies) : store_(store), copies_(copies) {}
    /// Returns the bytes of host memory that copies take.
    static std::int64_t bytes_of_copies(parallel::ParameterStore const& store);
    /// This rank's equal part of every flat buffer, tensor by tensor, unless another rank answers
    /// for it. Valid until the next call. Local.
    std::vector<checkpoint::OwnedRange> take();

  private:
    at::Tensor hold(at::Tensor const& values);
    /// Forgets what the last call held, and makes room for copies.
    void reset();
    /// Returns a stretch of a parameter as the rectangles that it is made of, in memory that is
    /// held.
    std::vector<checkpoint::OwnedRange::Piece> pieces_of(parallel::Stretch const& stretch,
                                                         at::Tensor const& values);

    parallel::ParameterStore const& store_;
    bool copies_;
    at::Tensor buffer_; ///< copy on the host
    std::int64_t used_ = 0;
    /// the tensors of the last call, if they had to be made contiguous or are the store's own
    std::vector<at::Tensor> held_;
};

} // namespace trireme::framework::weights
