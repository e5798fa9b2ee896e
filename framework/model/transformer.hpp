// One transformer for every family, built of small parts; which parts, the ModelConfig says.
// The model only computes: it knows no mesh, no optimizer, no file.
#pragma once
#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

#include "framework/model/config.hpp"
#include "framework/model/layer_names.hpp"
#include "framework/model/ops.hpp"
#include "framework/model/pass.hpp"
#include "parallel/linear.hpp"
#include "parallel/parameter_store.hpp"
#include "parallel/tensor_ops.hpp"

namespace trireme::framework::model {

using parallel::LinearUse;

/// How the blocks of a part are run.
struct BlockOptions {
    parallel::TensorAxis tensor = {};
    /// keep queries, keys and values only, and compute attention again in the backward pass
    bool recompute_attention = false;
};

// Between blocks each of t tensor ranks holds T / t tokens of the micro-batch
// (parallel/tensor_ops.hpp).

/// Token, position and segment embeddings, and the norm and dropout after them where the family has
/// them.
class Embeddings {
  public:
    Embeddings(Config const& config, parallel::ParameterStore& store,
               BlockOptions const& options = {});
    at::Tensor forward(at::Tensor const& anchor, Pass const& pass) const; ///< -> [T / t, D]
    /// Tells whether the backward pass reads any weight: where a table's rows go is known without
    /// the rows.
    bool reads_weights_back() const { return static_cast<bool>(norm_.weight); }
    /// Tells whether anything is kept for the backward pass, which recomputation could do without.
    bool keeps_activations() const { return reads_weights_back() || config_.embedding_dropout > 0; }

  private:
    Config const& config_;
    BlockOptions options_;
    parallel::ParameterUse tokens_, positions_, segments_;
    LinearUse norm_;
};

/// Attention and feed-forward with their norms and residuals. Norms are before (Llama) or after
/// (BERT) them, or of what they add (OLMo 2), as the family has them.
class TransformerLayer {
  public:
    TransformerLayer(Config const& config, parallel::ParameterStore& store, std::int64_t index,
                     BlockOptions const& options = {});
    /// Computes x[T / t, D] -> same. With `tokens`, one of each sample, legal where t = 1, it goes
    /// on behind attention with their rows alone and returns those: [tokens, D].
    at::Tensor forward(at::Tensor const& x, RotaryTable const& table, Pass const& pass,
                       Tokens tokens = nullptr) const;

    /// Says by which angles it turns queries and keys.
    LayerRotary rotary() const;

  private:
    /// Norms around what attention or feed-forward found: of itself, of the sum, and the one that
    /// reads the sum next, null where none does.
    struct Norms {
        LinearUse const &output, &own, *next;
    };
    Residual before(at::Tensor const& x, LinearUse const& norm) const;
    Residual add(at::Tensor const& x, at::Tensor const& part, Norms const& norms,
                 DropoutUse const& dropped) const;
    DropoutUse hidden_dropout(Pass const& pass, Site site, Tokens tokens) const;
    /// Computes what the output layer reads, [T, H S / t].
    at::Tensor attend(Residual& x, RotaryTable const& table, Pass const& pass) const;
    /// Tells whether attention can leave out the queries of tokens that nobody reads: on the CPU's
    /// path, where queries are made of x by one product and nothing else.
    bool leaves_out_queries(at::Tensor const& x, Pass const& pass) const;
    /// Computes the rows of `asking` alone, of which `rows` are the inputs: [asking, H S].
    at::Tensor attend_from(at::Tensor const& rows, at::Tensor const& x, Pass const& pass,
                           Tokens asking) const;
    at::Tensor feed_forward(Residual& x) const;
    AttentionShape attention_shape() const;

    Config const& config_;
    BlockOptions options_;
    std::int64_t index_;
    LinearUse query_, key_, value_, output_, query_norm_, key_norm_, gate_, up_, down_,
        attention_norm_, feed_forward_norm_, attention_output_norm_, feed_forward_output_norm_;
    XieluUse xielu_;
};

/// Final norm and loss: language model, classification of each sample by its first token (BERT) or
/// its last (decoders), or of each token.
class Head {
  public:
    Head(Config const& config, parallel::ParameterStore& store, BlockOptions const& options = {});
    /// Returns loss sum * pass.loss_scale, a float64 scalar, and appends one result per sample.
    /// x: [T / t, D], or [n, D] of the rows that rows_read() names.
    at::Tensor forward(at::Tensor const& x, Pass const& pass, Results& results) const;
    /// [T, V] for what follows each token, [T, outputs] of it, or [samples, outputs].
    at::Tensor logits(at::Tensor const& x, Pass const& pass) const;

  private:
    at::Tensor normalized(at::Tensor const& x) const;
    /// Computes h -> [rows, outputs]; h is [T, D], or [n, D] of the rows that it reads.
    at::Tensor classify(at::Tensor h, Pass const& pass) const;
    /// Does what a head does with each token of the body's output before its last layer.
    at::Tensor transform(at::Tensor const& x) const;

    Config const& config_;
    BlockOptions options_;
    LinearUse norm_, pooler_, pooler_norm_, classifier_, transform_, transform_norm_;
    parallel::ParameterUse language_model_, vocabulary_bias_;
};

} // namespace trireme::framework::model
