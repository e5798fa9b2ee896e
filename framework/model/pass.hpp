// Holds what one forward pass over one micro-batch needs besides weights.
#pragma once
#include <ATen/ATen.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "data/micro_batch.hpp"
#include "framework/model/results.hpp"

namespace trireme::framework::model {

struct AttentionShape;
struct BaseOutput;
struct Pass;

/// Gives attention the tokens of earlier passes beside those of its own (framework/generation).
class AttentionCache {
  public:
    virtual ~AttentionCache() = default;
    /// Computes attention() of ops.hpp for one layer.
    virtual at::Tensor attend(std::int64_t layer, at::Tensor const& q, at::Tensor const& k,
                              at::Tensor const& v, AttentionShape const& shape,
                              Pass const& pass) = 0;
};

/// Holds what a device reads of a micro-batch. All lies in one tensor of 8-byte words, so that one
/// copy brings it; the members are int64 views of it, float64 for columns of real numbers.
struct MicroBatchIds {
    at::Tensor tokens, positions, segments; ///< [T]
    at::Tensor samples;                     ///< [T], the sample of each token
    at::Tensor offsets;                     ///< [n + 1]
    at::Tensor cuts;                        ///< the offsets in int32, as flash attention reads them
    /// the micro-batch's columns by name: int64 [T] or [n, width], or float64
    std::map<std::string, at::Tensor> columns;
};
inline constexpr std::int64_t kIdsOfAToken = 4; ///< beside the columns
/// Words in that tensor.
std::int64_t packed_ids(data::MicroBatch const& micro_batch);
/// Writes them, in the order above.
void pack_ids(data::MicroBatch const& micro_batch, std::int64_t* out);
MicroBatchIds view_ids(at::Tensor const& packed, data::MicroBatch const& micro_batch);

/// One micro-batch and the circumstances it is computed in. Random numbers are keyed by (seed,
/// step, sample id, site, element).
struct Pass {
    data::MicroBatch micro_batch;
    MicroBatchIds ids; ///< the micro-batch's ids on the device of the model
    bool training = false;
    std::uint64_t seed = 0;
    std::int64_t step = 0;
    double loss_scale = 1.0; ///< 1 / trained labels of the whole step
    /// language models: hand the logits of every token to Results; costs [T, V] of memory
    bool keep_logits = false;
    AttentionCache* cache = nullptr; ///< generation; null: attention sees the pass alone
    /// the frozen base model's output for this micro-batch, by whose divergence a language model's
    /// loss grows; null: the loss is that of the labels alone
    BaseOutput const* base = nullptr;
    /// the base model itself: its head leaves its output there and has no loss
    BaseOutput* base_output = nullptr;
};

/// Places where dropout happens; with the layer's index the `site` of a random stream, the same in
/// every layout.
enum class Site : std::uint64_t {
    embeddings = 0,
    attention = 1,
    attention_output = 2,
    feed_forward_output = 3,
    classifier = 4,
    pooler = 5
};
inline std::uint64_t site_id(Site site, std::int64_t layer = 0) {
    return static_cast<std::uint64_t>(layer) * 8 + static_cast<std::uint64_t>(site);
}

/// Makes the tensors of a pass from its micro-batch, on the device that computes.
Pass make_pass(data::MicroBatch micro_batch, bool training, std::uint64_t seed, std::int64_t step,
               double loss_scale, at::Device device = at::kCPU);
/// Returns rows of learned positions of all tokens, [T], in a table whose positions begin with row
/// `offset`, behind the padding token's (rows_beside_padding); 0: there is none.
at::Tensor position_rows(Pass const& pass, std::int64_t offset);
/// Numbers of the host on a device; the host does not wait for the copy.
at::Tensor on_device(std::vector<std::int64_t> const& numbers, at::Device device);

} // namespace trireme::framework::model
