// The global gradient norm, one number in every layout, and the clipping that follows from it.
#pragma once
#include <ATen/ATen.h>

#include <cstdint>
#include <string>
#include <vector>

#include "parallel/mesh.hpp"
#include "parallel/parameter_store.hpp"

namespace trireme::framework::optimizer {

/// Sum of a float64 vector: from its first element to its last where our kernels compute, so that
/// no number of threads changes it, and libtorch's sum on a GPU. A float64 scalar beside `values`.
at::Tensor ordered_sum(at::Tensor const& values);

/// Computes the sqrt of the sum of squares over trainable parameters; every element of the model
/// counts once, whatever ranks hold copies of it. In bitwise mode (a store with separate
/// micro-batches) sums of squares are float64 per canonical block of each tensor and added in
/// (name, tensor rank, block) order by all, so the result does not depend on what lies on which
/// data rank or stage.
class GradientNorm {
  public:
    /// Both must outlive it. Collective over the world of the mesh in bitwise mode: ranks say which
    /// blocks they sum.
    GradientNorm(parallel::ParameterStore const& store, parallel::Mesh const& mesh);
    /// A float64 scalar where the gradients are, the same on every rank. Collective over the world
    /// of the mesh. Reads nothing back.
    at::Tensor compute() const;

  private:
    /// Consecutive canonical blocks of this rank's slice of a tensor.
    struct Part {
        parallel::Unit const* unit;
        parallel::Stretch stretch;
        std::int64_t first_block; ///< of the slice
        std::string const& name() const { return stretch.parameter->spec().name; }
    };
    /// Consecutive blocks of one rank's sums.
    struct Run {
        std::int64_t rank, at, count;
    };
    static std::vector<Part> own_parts(parallel::ParameterStore const& store);
    at::Tensor own_sums() const;

    parallel::ParameterStore const& store_;
    parallel::Mesh const& mesh_;
    std::vector<Part> parts_; ///< parts that this rank adds
    std::int64_t most_ = 0;   ///< blocks of the rank that has most
    std::vector<Run> order_;  ///< order of all ranks' blocks, in bitwise mode
};

/// Computes one norm and reads it to the host. Collective.
double gradient_norm(parallel::ParameterStore const& store, parallel::Mesh const& mesh);

/// Returns the factor for gradients that makes their norm at most `clip`; `clip` 0: no clipping. A
/// scalar on the device of `norm`.
at::Tensor clip_scale(at::Tensor const& norm, double clip);

} // namespace trireme::framework::optimizer
