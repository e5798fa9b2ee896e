// A part of the model as the engine sees it: a chain of blocks. The engine never sees a batch.
#pragma once
#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

namespace trireme::parallel {

class Stage {
  public:
    virtual ~Stage() = default;
    virtual std::size_t block_count() const = 0;
    /// Units of the store that the block reads.
    virtual std::vector<std::size_t> const& units_read_by(std::size_t block) const = 0;
    /// Those of them that its backward pass reads, unless it runs the forward pass again.
    virtual std::vector<std::size_t> const& units_read_back_by(std::size_t block) const = 0;
    /// Units of the store whose gradients are complete once the backward pass of `block` is done,
    /// in the order to reduce them. Over all blocks each unit appears once.
    virtual std::vector<std::size_t> const& units_completed_by(std::size_t block) const = 0;
    /// Returns the shape of what the part before it gives to this one, for this rank's micro-batch
    /// of `micro_step`: [T / tensor ranks, D], or fewer rows where the head alone is left to come.
    virtual std::vector<std::int64_t> input_shape(std::int64_t micro_step) const = 0;
    /// Returns the shape of what it gives to the part after it: the input_shape of that one.
    virtual std::vector<std::int64_t> output_shape(std::int64_t micro_step) const = 0;
    virtual at::TensorOptions boundary_options() const = 0; ///< dtype and device
    /// Tells whether the forward pass of the block may run a second time in the backward pass
    /// (recomputation).
    virtual bool may_recompute(std::size_t block) const = 0;
    /// Forward pass of one block for this rank's micro-batch of `micro_step`. The first block of
    /// the model ignores the values of its input, which only ties it into the graph. Others take
    /// and return [T / tensor ranks, D]; the one before the head may return fewer rows, which the
    /// head then takes. The model's last block returns the loss: a float64 scalar, already divided
    /// by the count of trained labels of the whole step.
    virtual at::Tensor forward(std::size_t block, at::Tensor const& input,
                               std::int64_t micro_step) = 0;
};

} // namespace trireme::parallel
