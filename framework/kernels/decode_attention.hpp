// Attention of one new token of each sequence over the keys and values that a cache holds.
#pragma once
#include <cstdint>

namespace trireme::framework::kernels {

/// Locates sequences in a cache. Sequence i has [kv_heads, capacity[i], size] elements from
/// start[i] on, the keys of a head one after another by position, so that a query streams through
/// them.
struct CachePlaces {
    std::int64_t const* start;    ///< [sequences], elements
    std::int64_t const* capacity; ///< [sequences], tokens
    std::int64_t kv_heads, size;
};

/// cache row (sequence[t], head, position[t]) = rows[t, head], for t < tokens: rows is [tokens,
/// kv_heads * size].
template <typename T>
void cache_write(CachePlaces const& places, std::int64_t tokens, std::int32_t const* sequence,
                 std::int32_t const* position, T const* rows, T* cache);

struct DecodeProblem {
    CachePlaces places;
    std::int32_t const* sequence; ///< [queries], of each query
    std::int32_t const* position; ///< [queries]; a query sees positions 0 to its own
    std::int64_t queries, heads;  ///< query heads, a multiple of the kv heads
    /// a query sees its last `window` positions only, its own included; 0: all
    std::int64_t window;
    double scale;   ///< factor of scores
    double cap = 0; ///< scores x become cap * tanh(x / cap), after `scale`; 0: they stay
};
/// out[queries, heads * size] from q of the same shape. One task owns a query and a kv head, and
/// its sums are in order of position: nothing depends on the threads or on what else is in the
/// batch.
template <typename T>
void decode_attention(DecodeProblem const& p, T const* q, T const* keys, T const* values, T* out);

} // namespace trireme::framework::kernels
