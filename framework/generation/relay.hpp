// A model whose layers lie on several ranks, one pass after another: every stage takes part in
// every pass.
#pragma once
#include <ATen/ATen.h>

#include <vector>

#include "cluster/communicator.hpp"
#include "framework/model/transformer_stage.hpp"

namespace trireme::framework::generation {

class Relay {
  public:
    /// `part`: this rank's layers; stage s of `stages` holds those after stage s - 1, the first
    /// also the embeddings, the last the head. All must outlive this. The head is a language
    /// model's.
    Relay(model::TransformerStage& part, model::Config const& config, cluster::Communicator& stages)
        : part_(part), config_(config), stages_(stages) {}

    model::Config const& config() const { return config_; }
    /// Logits of what follows the last token of each sample, float32 [n, V], on every stage.
    /// Collective over the stages.
    at::Tensor next_logits(model::Pass const& pass) const;
    /// Loss and count of each sample, on every stage. Collective over the stages.
    std::vector<model::SampleResult> results(model::Pass pass) const;

  private:
    bool first() const { return stages_.rank() == 0; }
    bool last() const { return stages_.rank() == stages_.size() - 1; }
    /// Receives the hidden states of the stage before, [T, D]; on the first, a placeholder.
    at::Tensor receive(model::Pass const& pass) const;
    void send_on(at::Tensor const& x) const;

    model::TransformerStage& part_;
    model::Config const& config_;
    cluster::Communicator& stages_;
};

} // namespace trireme::framework::generation
