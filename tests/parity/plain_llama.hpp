// The oracle: a Llama in plain autograd on one process, sample by sample, nothing packed, sharded,
// fused or in blocks. Written from the papers, shares no code with framework/; slow and obviously
// right.
#pragma once
#include <ATen/ATen.h>

#include <map>
#include <string>
#include <vector>

#include "framework/model/config.hpp"

namespace trireme::test {

using Weights = std::map<std::string, at::Tensor>;

/// Logits [T, V] of one sample of token ids.
at::Tensor plain_llama_logits(framework::model::Config const& config, Weights const& weights,
                              std::vector<std::int64_t> const& ids);

/// Sum over samples of the next-token losses, divided by their number; fills grad() of the weights.
double plain_llama_backward(framework::model::Config const& config, Weights const& weights,
                            std::vector<std::vector<std::int64_t>> const& samples);

/// AdamW with state of its own, one tensor at a time.
class PlainAdamW {
  public:
    PlainAdamW(double beta1, double beta2, double epsilon, double decay)
        : b1_(beta1), b2_(beta2), eps_(epsilon), decay_(decay) {}
    /// Clips by the global norm, then updates; matrices decay, vectors do not. Returns the norm.
    double step(Weights& weights, double learning_rate, double clip);

  private:
    double b1_, b2_, eps_, decay_;
    int steps_ = 0;
    std::map<std::string, std::pair<at::Tensor, at::Tensor>> moments_;
};

} // namespace trireme::test
