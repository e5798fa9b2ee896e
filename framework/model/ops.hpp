// The differentiable pieces of a transformer over packed micro-batches: on the CPU by kernels of
// our own (framework/kernels), on a GPU by libtorch's operations (composed.hpp, flash.hpp). T =
// packed tokens, D = model width, H = query heads, K = kv heads, S = head size, V = vocabulary, n
// = samples. Weight gradients go through handles (parallel/parameter.hpp); the graph holds
// activations only.
#pragma once
#include <ATen/ATen.h>

#include <vector>

#include "framework/model/config.hpp"
#include "framework/model/pass.hpp"
#include "parallel/divided_linear.hpp"
#include "parallel/linear.hpp"
#include "parallel/parameter.hpp"
#include "parallel/tensor_ops.hpp"

namespace trireme::framework::model {

struct RmsOptions {
    double epsilon;
    bool plus_one = false; ///< multiply by 1 + weight
};
/// Normalizes each head by itself: x[T, heads S], weight[S].
at::Tensor rms_norm_heads(at::Tensor const& x, parallel::ParameterUse const& weight,
                          RmsOptions const& options);
/// Normalizes rows of which this rank holds some heads, and `weight` for them. Heads that several
/// ranks hold count once; padding holds zeros. Collective over `axis`, in the backward pass too.
at::Tensor rms_norm_over_ranks(at::Tensor const& x, parallel::ParameterUse const& weight,
                               RmsOptions const& options, parallel::TensorAxis const& axis);

/// Names tokens of a micro-batch by their places in it; null names all.
using Tokens = std::vector<std::int64_t> const*;

/// Names a dropout layer and the rows it falls on: the `part`-th of equal stretches of the
/// micro-batch's tokens, or those `tokens` of it.
struct DropoutUse {
    double probability;
    Pass const& pass;
    std::uint64_t site;
    std::int64_t part = 0;
    Tokens tokens = nullptr; ///< what it points to must live until the call returns
};
/// Inverted dropout of x[T, D]; the identity outside training or for p = 0.
at::Tensor dropout(at::Tensor const& x, DropoutUse const& use);
/// x + dropout(part).
at::Tensor add_dropped(at::Tensor const& x, at::Tensor const& part, DropoutUse const& use);

/// Names a norm of rows and its parameters, which outlive the graph; RMS norm has no bias.
struct NormUse {
    Norm kind;
    parallel::ParameterUse const &weight, &bias;
    RmsOptions options;
};
/// The sum that goes on beside, and what attention or feed-forward reads; undefined where
/// normalized_linears makes it for itself.
struct Residual {
    at::Tensor sum, normal;
};
/// {x, norm(x)}: on the path of a GPU one node, whose backward pass adds both ways. On the CPU {x}.
Residual normalize_beside(at::Tensor const& x, NormUse const& norm);
/// {x + dropout(part), norm of that sum}, likewise.
Residual add_and_normalize(at::Tensor const& x, at::Tensor const& part, DropoutUse const& dropout,
                           NormUse const& norm);
/// Outputs of layers that read x.normal, as parallel::column_linears makes them; where that is
/// undefined, of layers that read norm(x.sum). On one rank that norm is not kept but made again in
/// the backward pass. x.sum becomes a result of the same node, which adds both ways there.
std::vector<at::Tensor> normalized_linears(Residual& x, NormUse const& norm,
                                           std::vector<parallel::LinearUse const*> const& layers,
                                           parallel::TensorAxis const& axis,
                                           parallel::Outputs outputs);
at::Tensor normalize(at::Tensor const& x, NormUse const& norm);
/// norm(x + dropout(part)), where the sum itself is of no use.
at::Tensor normalize_sum(at::Tensor const& x, at::Tensor const& part, DropoutUse const& dropout,
                         NormUse const& norm);

/// The layer after a gated activation: y[T / t, D] = (act(gate) * up) w[D, F / t]^T + b[D], summed
/// over the axis as by parallel::row_linear, of gate and up [T, F / t]. Between the passes it keeps
/// these two alone, and makes their product again on the way back.
at::Tensor gated_linear(at::Tensor const& gate, at::Tensor const& up, Activation activation,
                        parallel::LinearUse const& layer, parallel::TensorAxis const& axis);
/// act(x), [T, F].
at::Tensor activate(at::Tensor const& x, Activation activation);

/// Numbers of one layer's xIELU, [1] each. beta and epsilon are not trained.
struct XieluUse {
    parallel::ParameterUse positive, negative, beta, epsilon;
};
/// a x^2 + b x where x > 0, (exp(min(x, e)) - 1 - x) c + b x elsewhere, with a =
/// softplus(positive), b = beta, c = b + softplus(negative), e = epsilon; of x[T, F], in float32 at
/// least.
at::Tensor xielu(at::Tensor const& x, XieluUse const& use);

struct AttentionShape {
    std::int64_t heads, kv_heads, head_size;
    bool causal;
    std::int64_t window; ///< keys a query sees to each side that it sees, itself one; 0: all
    double scale;        ///< factor of scores
    double dropout;
    std::uint64_t site;
    std::int64_t first_head = 0; ///< number of the first of these heads in the model: keys dropout
    bool recompute = false;      ///< keep q, k and v only for the backward pass
    double cap = 0.0;            ///< scores x become cap * tanh(x / cap); 0: they stay
};
/// Block-diagonal attention over the samples of the micro-batch: q[T, H S], k[T, K S], v[T, K S] ->
/// [T, H S]. Rotary positions, if any, have been applied. With `asking`, one token of each sample,
/// legal on the CPU's path, queries and output have their rows alone: [tokens, H S].
at::Tensor attention(at::Tensor const& q, at::Tensor const& k, at::Tensor const& v,
                     AttentionShape const& shape, Pass const& pass, Tokens asking = nullptr);

/// Cosine and sine of position x frequency, [max_positions, half the numbers that turn] each,
/// computed in `dtype` by the
/// formulas and in the order of transformers' modeling_rope_utils.py: in float32 the numbers that a
/// model was trained with, to the bit.
/// Samples of more than `short_context` tokens have rows of their own, which come after those of
/// the others; 0: all have the same.
struct RotaryTable {
    at::Tensor cosine, sine;
    std::int64_t short_context = 0;
};
RotaryTable rotary_table(Config const& config, at::ScalarType dtype, at::Device device = at::kCPU,
                         LayerRotary which = LayerRotary::main);
/// Inputs of a layer's attention: [T, H S], [T, K S], [T, K S].
struct AttentionInputs {
    at::Tensor queries, keys, values;
};
/// Queries and keys rotated by their positions (Su et al. 2021; halves paired as in Hugging Face's
/// rotate_half), and the values as they are. Of each head the first numbers turn, twice as many as
/// the table has columns. On the path of a GPU they are rotated where they lie: what they were is
/// gone. `together`: the three are outputs of column_linears, which takes their gradients side by
/// side.
AttentionInputs apply_rotary(AttentionInputs const& x, AttentionShape const& shape,
                             RotaryTable const& table, Pass const& pass, bool together);

/// The last layer of a language model: its weight, the cap of its logits, and a bias if there is
/// one.
struct VocabularyUse {
    VocabularyUse(parallel::ParameterUse const& w, double c = 0.0,
                  parallel::ParameterUse const& b = parallel::kNoParameter)
        : weight(w), bias(b), cap(c) {}
    parallel::ParameterUse const &weight, &bias;
    double cap; ///< logits x become cap * tanh(x / cap); 0: they stay
};
/// Output of a frozen base model for one micro-batch, before its last layer: logits would be some
/// tens of times larger, and the loss makes them chunk by chunk. The layer's weights must be there
/// (ZeRO 3) whenever the loss reads them.
struct BaseOutput {
    double weight = 0;      ///< factor of the divergence in the loss
    at::Tensor hidden = {}; ///< [T / t, D], without a graph
    parallel::ParameterUse table = {}, bias = {};
    double cap = 0; ///< as in VocabularyUse
};
/// Linear layer and cross-entropy in one, a chunk of rows at a time, so that full logits never
/// exist. Returns the sum of losses of the micro-batch's kTokenLabels times pass.loss_scale,
/// float64. With a graph, gradients are made on the way. x[T, D]; of weight[V, D] and, if there is
/// one, bias[V] each tensor rank holds a stretch of rows (Shoeybi et al. 2019, section 3: what
/// travels is a maximum, a sum and a score for each token, not its logits). Where the pass has a
/// base, the loss of each label grows by weight * KL(base || model) of the distributions there (Li
/// and Hoiem, "Learning without forgetting", ECCV 2016, at temperature 1). Collective over `axis`.
at::Tensor language_model_loss(at::Tensor const& x, VocabularyUse const& layer, Pass const& pass,
                               Results& results, parallel::TensorAxis const& axis = {});

} // namespace trireme::framework::model
