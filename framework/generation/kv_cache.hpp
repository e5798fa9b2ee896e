// Keys and values of the tokens that a model has read, for all layers, so that each new token is
// computed alone.
#pragma once
#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

#include "framework/kernels/decode_attention.hpp"
#include "framework/model/config.hpp"
#include "framework/model/ops.hpp"

namespace trireme::framework::generation {

/// Sequence i is the sample of id i in every pass. Nothing is padded: each sequence has room for
/// `capacities[i]` tokens of its own, in each layer 2 x kv_heads x capacity x head_size numbers of
/// the kernels' dtype.
class KvCache : public model::AttentionCache {
  public:
    /// Memory is taken when a layer is first used.
    KvCache(model::Config const& config, std::vector<std::int64_t> capacities);
    KvCache(KvCache const&) = delete; ///< places_ points into it
    KvCache& operator=(KvCache const&) = delete;

    /// Writes k and v of the pass at their positions, and attends: samples that begin at position 0
    /// by the packed kernel of training; samples of one token over what the cache holds. Throws
    /// JobError for anything else.
    at::Tensor attend(std::int64_t layer, at::Tensor const& q, at::Tensor const& k,
                      at::Tensor const& v, model::AttentionShape const& shape,
                      model::Pass const& pass) override;

  private:
    struct Layer {
        at::Tensor keys, values;
    };
    std::vector<std::int64_t> start_, capacity_;
    std::int64_t total_ = 0; ///< elements of a layer's keys
    kernels::CachePlaces places_;
    std::vector<Layer> layers_;
};

} // namespace trireme::framework::generation
