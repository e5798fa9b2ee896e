#include "framework/planning/caching_allocator.hpp"

#include <algorithm>
#include <iterator>
#include <tuple>

namespace trireme::framework::planning {

namespace {

constexpr std::int64_t kMega = 1 << 20;
constexpr std::int64_t kMinBlock = 512, kSmall = kMega, kSmallSegment = 2 * kMega,
                       kLargeSegment = 20 * kMega, kLeastOfItsOwn = 10 * kMega,
                       kRoundLarge = 2 * kMega;

std::int64_t rounded(std::int64_t bytes, std::int64_t to) {
    return (bytes + to - 1) / to * to;
}

std::int64_t segment_bytes(std::int64_t bytes) {
    return bytes <= kSmall          ? kSmallSegment
           : bytes < kLeastOfItsOwn ? kLargeSegment
                                    : rounded(bytes, kRoundLarge);
}

} // namespace

CachingAllocator::Pool& CachingAllocator::pool_of(std::int64_t segment) {
    return is_small_.at(segment) ? small_ : large_;
}

CachingAllocator::Parts::iterator CachingAllocator::new_segment(std::int64_t bytes) {
    std::int64_t const all = segment_bytes(bytes), segment = device_calls_++;
    is_small_[segment] = bytes <= kSmall;
    reserved_ += all;
    return parts_.emplace(Place{segment, 0}, Part{segment, 0, all, false}).first;
}

/// The smallest free part that is large enough, or a new segment.
CachingAllocator::Parts::iterator CachingAllocator::take(std::int64_t bytes) {
    Pool& pool = bytes <= kSmall ? small_ : large_;
    auto const best = pool.lower_bound({bytes, -1, -1});
    if (best == pool.end()) return new_segment(bytes);
    auto const part = parts_.find({std::get<1>(*best), std::get<2>(*best)});
    pool.erase(best);
    return part;
}

void CachingAllocator::put_back(Parts::iterator part) {
    auto& [place, p] = *part;
    p.free = true;
    pool_of(p.segment).insert({p.bytes, p.segment, p.at});
}

void CachingAllocator::allocated(void const* block, std::int64_t bytes) {
    if (bytes == 0) return;
    std::int64_t const size = std::max(kMinBlock, rounded(bytes, kMinBlock));
    auto const part = take(size);
    Part& p = part->second;
    p.free = false;
    std::int64_t const rest = p.bytes - size;
    if (size <= kSmall ? rest >= kMinBlock : rest > kSmall) {
        p.bytes = size;
        put_back(
            parts_.emplace(Place{p.segment, p.at + size}, Part{p.segment, p.at + size, rest, true})
                .first);
    }
    given_[block] = part->first;
    allocated_ += p.bytes;
    most_allocated_ = std::max(most_allocated_, allocated_);
}

void CachingAllocator::freed(void const* block) {
    auto const given = given_.extract(block);
    if (!given) return;
    auto part = parts_.find(given.mapped());
    allocated_ -= part->second.bytes;
    auto const joins = [&](Parts::iterator other) {
        bool const can = other->second.segment == part->second.segment && other->second.free;
        if (can)
            pool_of(part->second.segment)
                .erase({other->second.bytes, other->second.segment, other->second.at});
        return can;
    };
    if (auto const next = std::next(part); next != parts_.end() && joins(next)) {
        part->second.bytes += next->second.bytes;
        parts_.erase(next);
    }
    if (part != parts_.begin() && joins(std::prev(part))) {
        auto const before = std::prev(part);
        before->second.bytes += part->second.bytes;
        parts_.erase(part);
        part = before;
    }
    put_back(part);
}

} // namespace trireme::framework::planning
