// Where tensors of the CPU lie.
#pragma once
#include <ATen/ATen.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/alloc_cpu.h>

#include "framework/parallelize/memory_pool.hpp"

namespace trireme::framework::parallelize {

/// Gives tensors of at least kLarge bytes memory of a pool, others that of the C library, and so
/// all that the pool has no room for.
class PooledAllocator : public c10::Allocator {
  public:
    static constexpr std::size_t kLarge = 128 << 10;

    at::DataPtr allocate(std::size_t bytes) override {
        void* block = bytes >= kLarge ? pool().take(bytes) : nullptr;
        if (!block) block = c10::alloc_cpu(bytes);
        return {block, block, &release, at::kCPU};
    }
    c10::DeleterFnPtr raw_deleter() const override { return &release; }
    void copy_data(void* to, void const* from, std::size_t bytes) const override {
        default_copy_data(to, from, bytes);
    }
    /// Is never destroyed: tensors outlive all else.
    static MemoryPool& pool() {
        static auto* const kPool = new MemoryPool(addresses_for_a_pool());
        return *kPool;
    }

  private:
    static void release(void* block) {
        pool().holds(block) ? pool().give_back(block) : c10::free_cpu(block);
    }
};

/// Has tensors of the CPU lie in the pool from now on. AddressSanitizer sees blocks of the C
/// library alone, so that its builds keep those.
inline void keep_tensors_in_a_pool() {
#if !defined(__SANITIZE_ADDRESS__)
    static PooledAllocator allocator;
    c10::SetAllocator(at::kCPU, &allocator);
#endif
}

} // namespace trireme::framework::parallelize
