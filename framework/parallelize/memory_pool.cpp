#include "framework/parallelize/memory_pool.hpp"

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <boost/interprocess/mem_algo/rbtree_best_fit.hpp>
#include <boost/interprocess/sync/mutex_family.hpp>
#include <cstdint>
#include <functional>
#include <mutex>
#include <new>

namespace trireme::framework::parallelize {

namespace {

constexpr std::size_t kAlignment = 64;
constexpr std::size_t kStep = 2 << 20;            ///< a large page
constexpr std::size_t kFirst = 4096;              ///< bytes for what the pool itself writes down
constexpr std::size_t kOverhead = 2 * kAlignment; ///< of a block

/// A tree of gaps by size, from Boost: the best fit, in logarithmic time.
using BestFit =
    boost::interprocess::rbtree_best_fit<boost::interprocess::null_mutex_family, void*, kAlignment>;

std::size_t in_steps(std::size_t bytes) {
    return (bytes + kStep - 1) / kStep * kStep;
}

/// Returns addresses that nobody may read or write yet; null where the system refuses.
char* reserve(std::size_t bytes) {
    void* const found =
        mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return found == MAP_FAILED ? nullptr : static_cast<char*>(found);
}
char* at_large_page(char* reserved) {
    auto const address = reinterpret_cast<std::uintptr_t>(reserved);
    return reserved + (kStep - address % kStep) % kStep;
}

} // namespace

struct MemoryPool::Blocks {
    std::mutex mutex;
    std::size_t room;            ///< bytes from `begin` that blocks may take
    char* reserved;              ///< those, and one step more, to align them; null: none
    char* begin;                 ///< at a large page
    std::size_t open = 0;        ///< bytes that may be read and written
    std::size_t extent = 0;      ///< bytes that blocks lie in, or gaps between them
    BestFit* best_fit = nullptr; ///< lies at `begin`, before the blocks

    explicit Blocks(std::size_t bytes)
        : room(in_steps(bytes)), reserved(room > 0 ? reserve(room + kStep) : nullptr),
          begin(reserved ? at_large_page(reserved) : nullptr) {
        if (reserved && extend(kFirst)) best_fit = new (begin) BestFit(extent, 0);
    }
    ~Blocks() {
        if (reserved) munmap(reserved, room + kStep);
    }
    Blocks(Blocks const&) = delete;
    Blocks& operator=(Blocks const&) = delete;

    /// Lets `more` bytes be written to, if so many are reserved.
    bool extend(std::size_t more) {
        if (room - extent < more) return false;
        std::size_t const wanted = in_steps(extent + more);
        if (wanted > open) {
            if (mprotect(begin + open, wanted - open, PROT_READ | PROT_WRITE) != 0) return false;
            madvise(begin + open, wanted - open, MADV_HUGEPAGE); // else small pages serve
            open = wanted;
        }
        extent += more;
        return true;
    }

    void* take(std::size_t bytes) {
        if (!best_fit || bytes > room) return nullptr;
        if (void* const block = best_fit->allocate(bytes)) return block;
        // No more than the block takes: what is left over at the end would be the best fit of
        // later ones, before gaps that have been used.
        std::size_t const more = (bytes + kAlignment - 1) / kAlignment * kAlignment + kOverhead;
        if (!extend(more)) return nullptr;
        best_fit->grow(more);
        return best_fit->allocate(bytes);
    }
};

MemoryPool::MemoryPool(std::size_t most) : blocks_(std::make_unique<Blocks>(most)) {}
MemoryPool::~MemoryPool() = default;

void* MemoryPool::take(std::size_t bytes) {
    std::scoped_lock const lock(blocks_->mutex);
    return blocks_->take(bytes);
}

void MemoryPool::give_back(void* block) {
    std::scoped_lock const lock(blocks_->mutex);
    blocks_->best_fit->deallocate(block);
}

bool MemoryPool::holds(void const* block) const {
    std::less_equal<> const before;
    return blocks_->reserved && before(blocks_->begin, block) &&
           !before(blocks_->begin + blocks_->room, block);
}

std::size_t MemoryPool::extent() const {
    std::scoped_lock const lock(blocks_->mutex);
    return blocks_->extent;
}

std::size_t addresses_for_a_pool() {
    rlimit limit{};
    if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur != RLIM_INFINITY) return 0;
    long const pages = sysconf(_SC_PHYS_PAGES), bytes = sysconf(_SC_PAGESIZE);
    return pages < 0 || bytes < 0
               ? 0
               : static_cast<std::size_t>(pages) * static_cast<std::size_t>(bytes);
}

} // namespace trireme::framework::parallelize
