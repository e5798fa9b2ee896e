#include "framework/generation/kv_cache.hpp"

#include <algorithm>

#include "cluster/error.hpp"
#include "framework/model/dispatch.hpp"

namespace trireme::framework::generation {

namespace {

/// The sequence of each token of a pass.
std::vector<std::int32_t> sequences_of(data::MicroBatch const& micro_batch) {
    std::vector<std::int32_t> of_token;
    for (std::size_t i = 0; i < micro_batch.sample_ids.size(); ++i)
        of_token.insert(
            of_token.end(),
            static_cast<std::size_t>(micro_batch.offsets[i + 1] - micro_batch.offsets[i]),
            static_cast<std::int32_t>(micro_batch.sample_ids[i]));
    return of_token;
}

bool all_begin(data::MicroBatch const& micro_batch) {
    return std::all_of(micro_batch.offsets.begin(), micro_batch.offsets.end() - 1, [&](auto t) {
        return micro_batch.positions[static_cast<std::size_t>(t)] == 0;
    });
}

} // namespace

KvCache::KvCache(model::Config const& config, std::vector<std::int64_t> capacities)
    : capacity_(std::move(capacities)) {
    for (auto const capacity : capacity_) {
        start_.push_back(total_);
        total_ += capacity * config.kv_heads * config.head_size;
    }
    places_ = {start_.data(), capacity_.data(), config.kv_heads, config.head_size};
    layers_.resize(static_cast<std::size_t>(config.layers));
}

at::Tensor KvCache::attend(std::int64_t layer, at::Tensor const& q, at::Tensor const& k,
                           at::Tensor const& v, model::AttentionShape const& shape,
                           model::Pass const& pass) {
    auto const& micro_batch = pass.micro_batch;
    Layer& cache = layers_.at(static_cast<std::size_t>(layer));
    at::Tensor const query = model::for_kernel(q), key = model::for_kernel(k),
                     value = model::for_kernel(v), out = at::empty_like(query);
    if (!cache.keys.defined())
        cache = {at::empty({total_}, query.options()), at::empty({total_}, query.options())};
    auto const sequences = sequences_of(micro_batch);
    bool const one_each = micro_batch.token_count() == micro_batch.sample_count();
    if (!all_begin(micro_batch) && !one_each)
        throw cluster::JobError("a pass over a cache goes on with one token of each sequence");
    kernels::DecodeProblem const problem{places_,
                                         sequences.data(),
                                         micro_batch.positions.data(),
                                         micro_batch.token_count(),
                                         shape.heads,
                                         shape.window,
                                         shape.scale,
                                         shape.cap};
    model::by_dtype(query, [&](auto* data) {
        using T = std::remove_const_t<std::remove_pointer_t<decltype(data)>>;
        kernels::cache_write(places_, micro_batch.token_count(), sequences.data(),
                             micro_batch.positions.data(), model::read<T>(key),
                             model::write<T>(cache.keys));
        kernels::cache_write(places_, micro_batch.token_count(), sequences.data(),
                             micro_batch.positions.data(), model::read<T>(value),
                             model::write<T>(cache.values));
        if (!all_begin(micro_batch))
            kernels::decode_attention(problem, data, model::read<T>(cache.keys),
                                      model::read<T>(cache.values), model::write<T>(out));
    });
    return all_begin(micro_batch) ? model::attention(q, k, v, shape, pass)
                                  : out.to(q.scalar_type());
}

} // namespace trireme::framework::generation
