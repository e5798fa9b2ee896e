#include "tests/device/pinned_copies.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <iterator>
#include <map>
#include <mutex>
#include <new>
#include <utility>

#include "cluster/error.hpp"

namespace trireme::test::pinned {

namespace {

struct Block {
    std::size_t bytes;      ///< whole pages
    std::size_t queued = 0; ///< copies to it
};
std::mutex mutex;
std::map<std::byte*, Block> blocks; ///< by first address
std::atomic<std::size_t> queued_copies{0};

struct Copy {
    std::byte *block, *to;
    std::vector<std::byte> bytes;
};
thread_local std::vector<Copy> queued; ///< in order

/// Returns null if the address is in no block. `mutex` held.
std::byte* block_of(void const* address) {
    auto const* const at = static_cast<std::byte const*>(address);
    auto const after = blocks.upper_bound(const_cast<std::byte*>(at));
    if (after == blocks.begin()) return nullptr;
    auto const& [begin, block] = *std::prev(after);
    return at < begin + block.bytes ? begin : nullptr;
}
void protect(std::byte* block, int rights) {
    if (mprotect(block, blocks.at(block).bytes, rights) != 0) throw cluster::JobError("mprotect");
}

} // namespace

void* allocate(std::size_t bytes) {
    auto const page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    std::size_t const whole = (bytes / page + 1) * page;
    void* const memory =
        mmap(nullptr, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    std::lock_guard const lock(mutex);
    blocks[static_cast<std::byte*>(memory)] = {whole};
    return memory;
}

void release(void* memory) {
    if (!memory) return;
    std::erase_if(queued, [&](Copy const& copy) { return copy.block == memory; });
    std::lock_guard const lock(mutex);
    auto const found = blocks.find(static_cast<std::byte*>(memory));
    munmap(memory, found->second.bytes);
    blocks.erase(found);
}

bool holds(void const* address) {
    std::lock_guard const lock(mutex);
    return block_of(address) != nullptr;
}

void queue_copy(void* to, std::vector<std::byte> bytes) {
    std::lock_guard const lock(mutex);
    auto* const block = block_of(to);
    ++blocks.at(block).queued;
    protect(block, PROT_NONE);
    queued.push_back({block, static_cast<std::byte*>(to), std::move(bytes)});
    ++queued_copies;
}

std::vector<std::byte> read_in_order(void const* from, std::size_t bytes) {
    std::lock_guard const lock(mutex);
    auto* const block = block_of(from);
    auto const* const begin = static_cast<std::byte const*>(from);
    bool const closed = blocks.at(block).queued > 0;
    if (closed) protect(block, PROT_READ);
    std::vector<std::byte> read(begin, begin + bytes);
    if (closed) protect(block, PROT_NONE);
    for (auto const& copy : queued) {
        auto const* const first = std::max<std::byte const*>(copy.to, begin);
        auto const* const end =
            std::min<std::byte const*>(copy.to + copy.bytes.size(), begin + bytes);
        if (first < end)
            std::copy_n(copy.bytes.begin() + (first - copy.to), end - first,
                        read.begin() + (first - begin));
    }
    return read;
}

bool is_stale(void const* address) {
    std::lock_guard const lock(mutex);
    auto* const block = block_of(address);
    return block && blocks.at(block).queued > 0;
}

void arrive() {
    std::lock_guard const lock(mutex);
    for (auto const& copy : std::exchange(queued, {})) {
        protect(copy.block, PROT_READ | PROT_WRITE);
        std::memcpy(copy.to, copy.bytes.data(), copy.bytes.size());
        if (--blocks.at(copy.block).queued > 0) protect(copy.block, PROT_NONE);
    }
}

std::size_t copies_queued() {
    return queued_copies;
}

} // namespace trireme::test::pinned
