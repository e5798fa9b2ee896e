// Memory of the guarded device: blocks of whole pages that cannot be touched but while they are
// open.
#pragma once
#include <cstddef>

namespace trireme::test::guarded {

/// `threads`: several ranks are threads of this process.
void share_with_threads(bool threads);
void* allocate(std::size_t bytes);
void release(void* data);
/// Opens the block for the calling thread's next operation.
void open(void const* data);
/// Closes what the calling thread opened, except what it shares.
void close_all();
/// Opens the block for a collective: other threads may read and write it while this one goes on.
void share(void const* data);

} // namespace trireme::test::guarded
