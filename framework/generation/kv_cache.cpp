#include "framework/generation/kv_cache.hpp"

#include <algorithm>

#include "cluster/error.hpp"
#include "framework/model/dispatch.hpp"

namespace trireme::framework::generation {

namespace {

/// The sequence of each token of a pass.
std::vector<std::int32_t> sequences_of(data::Slot const& slot) {
    std::vector<std::int32_t> of_token;
    for (std::size_t i = 0; i < slot.sample_ids.size(); ++i)
        of_token.insert(of_token.end(),
                        static_cast<std::size_t>(slot.offsets[i + 1] - slot.offsets[i]),
                        static_cast<std::int32_t>(slot.sample_ids[i]));
    return of_token;
}

bool all_begin(data::Slot const& slot) {
    return std::all_of(slot.offsets.begin(), slot.offsets.end() - 1,
                       [&](auto t) { return slot.positions[static_cast<std::size_t>(t)] == 0; });
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
    auto const& slot = pass.slot;
    Layer& cache = layers_.at(static_cast<std::size_t>(layer));
    at::Tensor const query = model::for_kernel(q), key = model::for_kernel(k),
                     value = model::for_kernel(v), out = at::empty_like(query);
    if (!cache.keys.defined())
        cache = {at::empty({total_}, query.options()), at::empty({total_}, query.options())};
    auto const sequences = sequences_of(slot);
    bool const one_each = slot.token_count() == slot.sample_count();
    if (!all_begin(slot) && !one_each)
        throw cluster::JobError("a pass over a cache goes on with one token of each sequence");
    kernels::DecodeProblem const problem{
        places_,      sequences.data(), slot.positions.data(), slot.token_count(), shape.heads,
        shape.window, shape.scale};
    model::by_dtype(query, [&](auto* data) {
        using T = std::remove_const_t<std::remove_pointer_t<decltype(data)>>;
        kernels::cache_write(places_, slot.token_count(), sequences.data(), slot.positions.data(),
                             model::read<T>(key), model::write<T>(cache.keys));
        kernels::cache_write(places_, slot.token_count(), sequences.data(), slot.positions.data(),
                             model::read<T>(value), model::write<T>(cache.values));
        if (!all_begin(slot))
            kernels::decode_attention(problem, data, model::read<T>(cache.keys),
                                      model::read<T>(cache.values), model::write<T>(out));
    });
    return all_begin(slot) ? model::attention(q, k, v, shape, pass) : out.to(q.scalar_type());
}

} // namespace trireme::framework::generation
