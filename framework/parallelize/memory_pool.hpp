// Memory for large blocks that come and go in sizes of their own, as the tensors of a step do.
#pragma once
#include <cstddef>
#include <memory>

namespace trireme::framework::parallelize {

/// [Note: a pool for tensors] The C library fills what a tensor leaves with whatever is asked for
/// next. A few small objects, such as nodes of the graph, then keep the next tensor of that size
/// from fitting, and memory grows beyond what is ever in use at a time: by a fifth in a step of a
/// Llama (docs/performance.md). Here large blocks lie among themselves, take the smallest gap that
/// fits, and join the gaps beside them when they go. What was used once stays with the process: a
/// page that came anew would be cleared by the kernel anew. Large pages are asked for.
///
/// Blocks are aligned to 64 bytes. Safe to use by several threads.
class MemoryPool {
  public:
    /// Reserves addresses for `most` bytes, which count as memory only as far as blocks are
    /// written to. Where the system refuses, the pool has room for nothing.
    explicit MemoryPool(std::size_t most);
    ~MemoryPool();
    MemoryPool(MemoryPool const&) = delete;
    MemoryPool& operator=(MemoryPool const&) = delete;

    /// Returns a block, or null where there is no room.
    void* take(std::size_t bytes);
    /// Takes back a block of this pool.
    void give_back(void* block);
    bool holds(void const* block) const;
    /// Bytes from the first to the last that any block had so far.
    std::size_t extent() const;

  private:
    struct Blocks;
    std::unique_ptr<Blocks> blocks_;
};

/// Returns how many bytes of addresses a pool may reserve: as many as the machine has memory; none
/// where the process has a limit on its addresses (`ulimit -v`), which others need.
std::size_t addresses_for_a_pool();

} // namespace trireme::framework::parallelize
