// Runs the forward and backward passes of one step, block by block.
//
// [Note: block-driven backward]
// The input of each block is detached and the block's backward pass is an explicit call. So what happens between two
// blocks (reduce this unit, gather that one, recompute, queue a weight gradient) is ordinary code in one place, and
// no hook order decides it.
#pragma once
#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

#include "parallel/gradient_reducer.hpp"
#include "parallel/stage.hpp"

namespace trireme::parallel {

class Engine {
  public:
    Engine(Stage& stage, GradientReducer& reducer) : stage_(stage), reducer_(reducer) {}

    /// Runs all micro-steps of a step of `slots` slots and leaves the reduced gradient in the store. Collective over
    /// the data group. Returns this rank's losses, one per slot it had, in micro-step order.
    std::vector<double> forward_backward(std::int64_t slots);
    /// Forward passes only, without a graph. Local.
    double forward(std::int64_t micro_step);

  private:
    struct Pass {
        at::Tensor input, output;
    };
    double backward_through(std::int64_t micro_step);

    Stage& stage_;
    GradientReducer& reducer_;
};

} // namespace trireme::parallel
