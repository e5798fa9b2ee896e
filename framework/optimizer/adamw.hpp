// AdamW (Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019, algorithm 2) on
// the store.
#pragma once
#include <ATen/ATen.h>

#include <cstdint>

#include "framework/optimizer/section.hpp"
#include "parallel/parameter_store.hpp"

namespace trireme::framework::optimizer {

class AdamW {
  public:
    /// Allocates the moments, and the average of the weights if ema_decay asks for one. `store`
    /// must outlive the optimizer. `offload`: master and moments pass through a bounded staging
    /// buffer beside the gradient, chunk by chunk, with the same kernel: the same bits. `layers`:
    /// of the whole model, by which layer_decay counts.
    AdamW(parallel::ParameterStore& store, Section const& section, bool offload = false,
          std::int64_t layers = 0);

    /// One update with gradients times `gradient_scale`, a float64 scalar beside the gradients that
    /// the host does not read on a GPU; NaN: weights, moments and average stay as they are.
    /// `updates` counts those done before. Local.
    void step(double learning_rate, at::Tensor const& gradient_scale, std::int64_t updates);

    /// Begins the average with the weights as they are; without one it does nothing. Local.
    void start_average();

  private:
    /// Moves the unit's average after an update: decay * average + (1 - decay) * weights, and after
    /// the first of all to the weights themselves, as torch.optim.swa_utils.AveragedModel with
    /// get_ema_avg_fn does.
    void follow(parallel::Unit const& unit, at::Tensor const& gradient_scale,
                std::int64_t updates) const;

    parallel::ParameterStore& store_;
    Section section_;
    bool offload_;
    std::int64_t layers_;
};

} // namespace trireme::framework::optimizer
