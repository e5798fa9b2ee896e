// Where tensors of the CPU lie.
#pragma once
#include <ATen/ATen.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/alloc_cpu.h>
#include <malloc.h>

#include <mutex>

#include "framework/parallelize/memory_pool.hpp"

namespace trireme::framework::parallelize {

/// Gives tensors of at least kLarge bytes memory of a pool, others that of the C library, and so
/// all that the pool has no room for.
class PooledAllocator : public c10::Allocator {
  public:
    static constexpr std::size_t kLarge = 128 << 10;

    /// Has tensors of the CPU come from here from now on.
    static void install() {
        static auto* const kAllocator =
            new PooledAllocator; // is never destroyed: tensors outlive all
        c10::SetAllocator(at::kCPU, kAllocator);
    }

    at::DataPtr allocate(std::size_t bytes) override {
        void* block = bytes >= kLarge ? pool().take(bytes) : nullptr;
        if (!block) block = c10::alloc_cpu(bytes);
        return {block, block, &release, at::kCPU};
    }
    c10::DeleterFnPtr raw_deleter() const override { return &release; }
    void copy_data(void* to, void const* from, std::size_t bytes) const override {
        default_copy_data(to, from, bytes);
    }
    static MemoryPool& pool() {
        static auto* const kPool = new MemoryPool(addresses_for_a_pool());
        return *kPool;
    }

  private:
    static void release(void* block) {
        pool().holds(block) ? pool().give_back(block) : c10::free_cpu(block);
    }
};

/// Keeps the memory that tensors of the CPU leave for those that come: given back to the kernel, it
/// would be cleared page by page again. They lie in the pool where there is one, else with the C
/// library, whose blocks AddressSanitizer looks after.
inline void keep_memory_of_tensors() {
    static std::once_flag once;
    std::call_once(once, [] {
#if !defined(__SANITIZE_ADDRESS__)
        if (addresses_for_a_pool() > 0) return PooledAllocator::install();
#endif
        mallopt(M_MMAP_THRESHOLD, 32 << 20);
        mallopt(M_TRIM_THRESHOLD, 1 << 30);
        mallopt(M_TOP_PAD, 64 << 20);
    });
}

} // namespace trireme::framework::parallelize
