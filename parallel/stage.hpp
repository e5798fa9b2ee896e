// What a pipeline stage computes, seen from the engine: a chain of blocks. The engine never sees a batch.
#pragma once
#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

namespace trireme::parallel {

class Stage {
  public:
    virtual ~Stage() = default;
    virtual std::size_t block_count() const = 0;
    /// Units of the store whose gradients are complete once the backward pass of `block` is done, in the order to
    /// reduce them. Over all blocks each unit appears once.
    virtual std::vector<std::size_t> const& units_completed_by(std::size_t block) const = 0;
    /// Forward pass of one block for this rank's slot of `micro_step`. Block 0 ignores the values of its input, which
    /// only ties it into the graph. Others take and return [T, D]. The last block returns the loss: a float64 scalar,
    /// already divided by the count of trained labels of the whole step.
    virtual at::Tensor forward(std::size_t block, at::Tensor const& input, std::int64_t micro_step) = 0;
};

} // namespace trireme::parallel
