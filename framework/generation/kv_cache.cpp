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

/// Tells whether all samples begin in this pass. Throws JobError unless they all do or all have one
/// token.
bool check_begins(data::MicroBatch const& micro_batch) {
    bool const begins = all_begin(micro_batch);
    if (!begins && micro_batch.token_count() != micro_batch.sample_count())
        throw cluster::JobError("a pass over a cache goes on with one token of each sequence");
    return begins;
}

kernels::DecodeProblem problem_of(kernels::CachePlaces const& places,
                                  std::vector<std::int32_t> const& sequences,
                                  data::MicroBatch const& micro_batch,
                                  model::AttentionShape const& shape) {
    return {places,
            sequences.data(),
            micro_batch.positions.data(),
            micro_batch.token_count(),
            shape.heads,
            shape.window,
            shape.scale,
            shape.cap};
}

/// Writes keys or values of the tokens to their places in the cache of a layer.
template <typename T>
void store(kernels::DecodeProblem const& p, at::Tensor const& of_tokens, at::Tensor const& cache) {
    kernels::cache_write(p.places, p.queries, p.sequence, p.position, model::read<T>(of_tokens),
                         model::write<T>(cache));
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
    bool const begins = check_begins(micro_batch);
    at::Tensor const query = model::for_kernel(q), out = at::empty_like(query);
    Layer& cache = layers_.at(static_cast<std::size_t>(layer));
    if (!cache.keys.defined())
        cache = {at::empty({total_}, query.options()), at::empty({total_}, query.options())};
    auto const sequences = sequences_of(micro_batch);
    auto const problem = problem_of(places_, sequences, micro_batch, shape);
    model::by_dtype(query, [&]<typename T>(T const* data) {
        store<T>(problem, model::for_kernel(k), cache.keys);
        store<T>(problem, model::for_kernel(v), cache.values);
        if (!begins)
            kernels::decode_attention(problem, data, model::read<T>(cache.keys),
                                      model::read<T>(cache.values), model::write<T>(out));
    });
    return begins ? model::attention(q, k, v, shape, pass) : out.to(q.scalar_type());
}

} // namespace trireme::framework::generation
