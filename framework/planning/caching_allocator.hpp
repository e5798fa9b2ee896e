// The policy of libtorch's caching allocator for CUDA, without a device: which requests reach the
// driver, and what stays reserved. Follows c10/cuda/CUDACachingAllocator.cpp of libtorch 2 with its
// default settings, for tensors of one stream that are freed in its order.
#pragma once
#include <cstdint>
#include <map>
#include <set>
#include <tuple>
#include <utility>

namespace trireme::framework::planning {

/// Sees what is allocated, and when it is freed.
class AllocationWatcher {
  public:
    virtual ~AllocationWatcher() = default;
    /// `block`: any address that stands for the memory until it is freed.
    virtual void allocated(void const* block, std::int64_t bytes) = 0;
    /// May be told of blocks that it has not seen.
    virtual void freed(void const* block) = 0;
};

class CachingAllocator : public AllocationWatcher {
  public:
    void allocated(void const* block, std::int64_t bytes) override;
    void freed(void const* block) override;

    std::int64_t device_calls() const { return device_calls_; } ///< cudaMalloc's
    std::int64_t reserved() const { return reserved_; }         ///< bytes held from the driver
    std::int64_t most_allocated() const { return most_allocated_; }

  private:
    /// A part of a segment; parts of one segment lie one after the other.
    struct Part {
        std::int64_t segment, at, bytes;
        bool free;
    };
    using Place = std::pair<std::int64_t, std::int64_t>; ///< segment, offset
    using Parts = std::map<Place, Part>;
    /// Free parts of a pool, by size and then place.
    using Pool = std::set<std::tuple<std::int64_t, std::int64_t, std::int64_t>>;

    Pool& pool_of(std::int64_t segment);
    Parts::iterator take(std::int64_t bytes);
    Parts::iterator new_segment(std::int64_t bytes);
    void put_back(Parts::iterator part);

    Parts parts_;
    std::map<std::int64_t, bool> is_small_; ///< of a segment
    Pool small_, large_;
    std::map<void const*, Place> given_;
    std::int64_t device_calls_ = 0, reserved_ = 0, allocated_ = 0, most_allocated_ = 0;
};

} // namespace trireme::framework::planning
