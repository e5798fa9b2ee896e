// Holds what is asked of the calls of a save and what was seen of them.
#pragma once
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <sstream>
#include <string>

#include "tests/fault/save_io_faults.hpp"

namespace trireme::test::io {

/// In memory that forked children share.
struct Shared {
    std::atomic<std::int64_t> count = 0;
    std::atomic<bool> fired = false;
};
inline Shared& shared() {
    static Shared* const memory = new (mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE,
                                            MAP_SHARED | MAP_ANONYMOUS, -1, 0)) Shared;
    return *memory;
}

struct State {
    std::string folder;
    std::int64_t kill_at = 0;
    Call failing = Call::read;
    std::int64_t fail_at = 0, seen = 0;
    int error = 0, log = -1;
    bool repeat = false, fast = false;
    /// held over a call and its record: the record has the order of the calls
    std::recursive_mutex mutex;
};
inline State& state() {
    static auto* const instance = new State; // calls come before main and after exit
    return *instance;
}

template <typename Function>
Function real(char const* name) {
    return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

inline std::string path_of(int descriptor) {
    char link[64], target[PATH_MAX];
    std::snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t const n = readlink(link, target, sizeof target);
    return n > 0 ? std::string(target, static_cast<std::size_t>(n)) : std::string();
}

inline std::string absolute(int folder, char const* path) {
    if (path[0] == '/') return path;
    if (folder != AT_FDCWD) return path_of(folder) + "/" + path;
    char here[PATH_MAX];
    return std::string(getcwd(here, sizeof here) ? here : "") + "/" + path;
}

inline bool watched(std::string const& path) {
    return !state().folder.empty() && path.starts_with(state().folder);
}

inline void say(Call call, std::string const& path, int error) {
    std::ostringstream text;
    text << "io fault fired: " << kCalls[static_cast<int>(call)] << " " << path << ": "
         << (error == kShort  ? "short"
             : error == kKill ? "kill"
                              : std::strerror(error))
         << "\n";
    syscall(SYS_write, STDERR_FILENO, text.str().data(), text.str().size());
}

[[noreturn]] inline void die() {
    ::raise(SIGKILL);
    std::abort();
}

/// Counts the call. What it must do instead of itself: 0, an errno, kShort.
inline int strike(Call call, std::string const& path) {
    State& s = state();
    if (call != Call::read && ++shared().count == s.kill_at) die();
    if (call != s.failing || s.fail_at == 0) return 0;
    if (++s.seen != s.fail_at && !(s.repeat && s.seen > s.fail_at)) return 0;
    if (!shared().fired.exchange(true)) say(call, path, s.error);
    if (s.error == kKill) die();
    return s.error;
}

inline void put(Event const& e) {
    if (state().log < 0) return;
    std::ostringstream out;
    out << static_cast<int>(e.call) << ' ' << e.descriptor << ' ' << e.create << ' ' << e.cut << ' '
        << e.offset << ' ' << e.path.size() << ' ' << e.second.size() << ' ' << e.bytes.size()
        << '\n'
        << e.path << e.second << e.bytes;
    std::string const text = out.str();
    if (syscall(SYS_write, state().log, text.data(), text.size()) != static_cast<long>(text.size()))
        std::abort();
}

inline int refuse(int error) {
    errno = error;
    return -1;
}

} // namespace trireme::test::io
