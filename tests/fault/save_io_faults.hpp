// A library for tests that stands before the C library: it sees the calls that change files below
// one folder, and counts, records, fails or kills at one of them.
//
// A test links it and arms it in a forked child. A whole program gets it by LD_PRELOAD, with
// TRIREME_IO_FAULT set to "FOLDER:CALL:N:HOW": the N-th call CALL (as in kCalls) on a path below
// FOLDER whose name has no other meaning; HOW is an errno number, `short`, or `kill`. It says "io
// fault fired: ..." on standard error when it strikes.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace trireme::test::io {

enum class Call : std::uint8_t {
    open,
    write,
    truncate,
    sync,
    close,
    rename,
    unlink,
    rmdir,
    mkdir,
    read
};
constexpr char const* kCalls[] = {"open",   "write",  "truncate", "sync",  "close",
                                  "rename", "unlink", "rmdir",    "mkdir", "read"};

enum : int { kShort = -1, kKill = -2 };

/// Calls on paths below `folder` count from now on. Fork first: nothing is undone.
void watch(std::string const& folder);
/// Calls counted so far, reads apart. In memory shared with children that were forked after the
/// first call of it.
std::int64_t counted();
void reset_count();
/// Dies by SIGKILL instead of making the n-th call (from 1), reads apart.
void kill_at(std::int64_t n);
/// The n-th call of that kind fails with `error`, or writes half (kShort). `repeat`: and all later
/// ones.
void fail(Call call, std::int64_t n, int error, bool repeat = false);
/// Has a call failed as asked? Shared like counted().
bool fired();
/// Calls of sync return at once: what survives a kill does not depend on them.
void skip_syncs();

/// One call as it was made, in the order of all threads.
struct Event {
    Call call;
    int descriptor = -1; ///< of open (the result), write, truncate, sync, close
    bool create = false, cut = false;
    std::int64_t offset = 0; ///< of write; the length of truncate
    std::string path, second;
    std::string bytes;
};
/// Appends every call to `file`, which is not below the watched folder.
void record(std::string const& file);
std::vector<Event> read_record(std::string const& file);

} // namespace trireme::test::io
