#include "tests/device/guarded_blocks.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <iterator>
#include <map>
#include <mutex>
#include <new>
#include <set>

#include "cluster/error.hpp"
#include "framework/kernels/fused/programs.hpp"

namespace trireme::test::guarded {

namespace {

bool ranks_are_threads = false;
std::mutex mutex;
struct Block {
    std::size_t bytes;    ///< whole pages
    std::uint64_t number; ///< another for each that is made, since addresses come again
};
std::map<std::byte*, Block> blocks; ///< by first address
std::uint64_t blocks_made = 0;
std::set<std::byte*> shared_blocks; ///< of collectives between threads: they stay open
/// their numbers; until this thread's next operation
thread_local std::map<std::byte*, std::uint64_t> open_blocks;

std::byte* block_of(void const* data) {
    auto const after = blocks.upper_bound(static_cast<std::byte*>(const_cast<void*>(data)));
    return std::prev(after)->first;
}
void protect(std::byte* block, int rights) {
    if (mprotect(block, blocks.at(block).bytes, rights) != 0) throw cluster::JobError("mprotect");
}

} // namespace

void share_with_threads(bool threads) {
    ranks_are_threads = threads;
}

void* allocate(std::size_t bytes) {
    auto const page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    std::size_t const whole = (bytes / page + 1) * page;
    void* const data = mmap(nullptr, whole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data == MAP_FAILED) throw std::bad_alloc();
    std::lock_guard const lock(mutex);
    blocks[static_cast<std::byte*>(data)] = {whole, ++blocks_made};
    return data;
}

void close_all() {
    std::lock_guard const lock(mutex);
    for (auto const& [block, number] : open_blocks) {
        auto const found = blocks.find(block); // may be gone, and its address another thread's
        if (found != blocks.end() && found->second.number == number &&
            !shared_blocks.contains(block))
            protect(block, PROT_NONE);
    }
    open_blocks.clear();
}
void open(void const* data) {
    std::lock_guard const lock(mutex);
    auto* const block = block_of(data);
    protect(block, PROT_READ | PROT_WRITE);
    open_blocks[block] = blocks.at(block).number;
}
void share(void const* data) {
    open(data);
    std::lock_guard const lock(mutex);
    if (ranks_are_threads) shared_blocks.insert(block_of(data));
}

void release(void* data) {
    if (!data) return;
    std::lock_guard const lock(mutex);
    auto const found = blocks.find(static_cast<std::byte*>(data));
    munmap(data, found->second.bytes);
    shared_blocks.erase(found->first);
    blocks.erase(found);
}

} // namespace trireme::test::guarded

namespace trireme::framework::kernels {

namespace fused {

// In the place of no_fused.cpp: the same bodies, on memory that is opened for them.
template <typename Program>
bool launch(Program const& program, void*) {
    program.each_pointer([](void const* data) {
        if (data) test::guarded::open(data);
    });
    run_on_host(program);
    test::guarded::close_all();
    return true;
}
#define TRIREME_LAUNCH(...) template bool launch(__VA_ARGS__ const&, void*);
TRIREME_FUSED_PROGRAMS(TRIREME_LAUNCH)

} // namespace fused

} // namespace trireme::framework::kernels
