#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>

#include "tests/fault/save_io_state.hpp"

// The calls themselves. What the C library calls inside itself does not come here: fopen and fclose
// stand for that.

using namespace trireme::test::io;

namespace {

int open_at(int folder, char const* path, int flags, mode_t mode) {
    static auto const call = real<int (*)(int, char const*, int, ...)>("openat64");
    std::string const name = absolute(folder, path);
    if (!watched(name)) return call(folder, path, flags, mode);
    std::lock_guard const lock(state().mutex);
    bool const reads = (flags & O_CREAT) == 0; // HDF5 tries that before it makes a file
    if (int const error = strike(reads ? Call::read : Call::open, name)) return refuse(error);
    int const descriptor = call(folder, path, flags, mode);
    if (descriptor >= 0 && !reads)
        put({.call = Call::open,
             .descriptor = descriptor,
             .create = (flags & O_CREAT) != 0,
             .cut = (flags & O_TRUNC) != 0,
             .path = name});
    return descriptor;
}

FILE* open_stream(char const* path, char const* mode) {
    static auto const call = real<FILE* (*)(char const*, char const*)>("fopen64");
    std::string const name = absolute(AT_FDCWD, path);
    if (!watched(name)) return call(path, mode);
    std::lock_guard const lock(state().mutex);
    if (int const error = strike(mode[0] == 'r' ? Call::read : Call::open, name)) {
        errno = error;
        return nullptr;
    }
    FILE* const stream = call(path, mode);
    if (stream && mode[0] != 'r')
        put({.call = Call::open,
             .descriptor = fileno(stream),
             .create = true,
             .cut = mode[0] == 'w',
             .path = name});
    return stream;
}

template <typename Real>
ssize_t write_at(int descriptor, void const* bytes, std::size_t count, std::int64_t offset,
                 Real const& call) {
    std::string const name = path_of(descriptor);
    if (!watched(name)) return call(count);
    std::lock_guard const lock(state().mutex);
    int const error = strike(Call::write, name);
    if (error > 0) return refuse(error);
    ssize_t const n = call(error == kShort ? (count + 1) / 2 : count);
    if (n > 0)
        put({.call = Call::write,
             .descriptor = descriptor,
             .offset = offset,
             .bytes = std::string(static_cast<char const*>(bytes), static_cast<std::size_t>(n))});
    return n;
}

template <typename Real>
int on_descriptor(Call kind, int descriptor, std::int64_t length, Real const& call) {
    std::string const name = path_of(descriptor);
    if (!watched(name)) return call();
    std::lock_guard const lock(state().mutex);
    int const error = strike(kind, name);
    if (error > 0 && kind != Call::close) return refuse(error);
    int const result = kind == Call::sync && state().fast ? 0 : call();
    if (result == 0) put({.call = kind, .descriptor = descriptor, .offset = length, .path = name});
    return error > 0 ? refuse(error) : result; // a close that fails has closed
}

template <typename Real>
int on_path(Call kind, std::string const& name, std::string const& second, Real const& call) {
    if (!watched(name)) return call();
    std::lock_guard const lock(state().mutex);
    if (int const error = strike(kind, name); error > 0) return refuse(error);
    int const result = call();
    if (result == 0) put({.call = kind, .path = name, .second = second});
    return result;
}

} // namespace

extern "C" {

int openat(int folder, char const* path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    mode_t const mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return open_at(folder, path, flags, mode);
}
int openat64(int folder, char const* path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    mode_t const mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return open_at(folder, path, flags, mode);
}
int open(char const* path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    mode_t const mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return open_at(AT_FDCWD, path, flags, mode);
}
int open64(char const* path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    mode_t const mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return open_at(AT_FDCWD, path, flags, mode);
}
FILE* fopen(char const* path, char const* mode) {
    return open_stream(path, mode);
}
FILE* fopen64(char const* path, char const* mode) {
    return open_stream(path, mode);
}
int fclose(FILE* stream) {
    static auto const call = real<int (*)(FILE*)>("fclose");
    if ((fcntl(fileno(stream), F_GETFL) & O_ACCMODE) == O_RDONLY) return call(stream);
    return on_descriptor(Call::close, fileno(stream), 0, [&] { return call(stream); });
}
int close(int descriptor) {
    static auto const call = real<int (*)(int)>("close");
    int const flags = fcntl(descriptor, F_GETFL);
    if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY) return call(descriptor);
    return on_descriptor(Call::close, descriptor, 0, [&] { return call(descriptor); });
}
ssize_t write(int descriptor, void const* bytes, size_t count) {
    static auto const call = real<ssize_t (*)(int, void const*, size_t)>("write");
    return write_at(descriptor, bytes, count, lseek(descriptor, 0, SEEK_CUR),
                    [&](size_t n) { return call(descriptor, bytes, n); });
}
ssize_t writev(int descriptor, iovec const* parts, int count) {
    std::string all;
    for (int i = 0; i < count; ++i)
        all.append(static_cast<char const*>(parts[i].iov_base), parts[i].iov_len);
    return write(descriptor, all.data(), all.size());
}
ssize_t pwrite64(int descriptor, void const* bytes, size_t count, off64_t offset) {
    static auto const call = real<ssize_t (*)(int, void const*, size_t, off64_t)>("pwrite64");
    return write_at(descriptor, bytes, count, offset,
                    [&](size_t n) { return call(descriptor, bytes, n, offset); });
}
ssize_t pwrite(int descriptor, void const* bytes, size_t count, off_t offset) {
    return pwrite64(descriptor, bytes, count, offset);
}
ssize_t pread64(int descriptor, void* bytes, size_t count, off64_t offset) {
    static auto const call = real<ssize_t (*)(int, void*, size_t, off64_t)>("pread64");
    std::string const name = path_of(descriptor);
    if (!watched(name)) return call(descriptor, bytes, count, offset);
    std::lock_guard const lock(state().mutex);
    int const error = strike(Call::read, name);
    if (error > 0) return refuse(error);
    return call(descriptor, bytes, error == kShort ? (count + 1) / 2 : count, offset);
}
ssize_t pread(int descriptor, void* bytes, size_t count, off_t offset) {
    return pread64(descriptor, bytes, count, offset);
}
int fsync(int descriptor) {
    static auto const call = real<int (*)(int)>("fsync");
    return on_descriptor(Call::sync, descriptor, 0, [&] { return call(descriptor); });
}
int fdatasync(int descriptor) {
    return fsync(descriptor);
}
int ftruncate64(int descriptor, off64_t length) {
    static auto const call = real<int (*)(int, off64_t)>("ftruncate64");
    return on_descriptor(Call::truncate, descriptor, length,
                         [&] { return call(descriptor, length); });
}
int ftruncate(int descriptor, off_t length) {
    return ftruncate64(descriptor, length);
}
int rename(char const* from, char const* to) {
    static auto const call = real<int (*)(char const*, char const*)>("rename");
    return on_path(Call::rename, absolute(AT_FDCWD, from), absolute(AT_FDCWD, to),
                   [&] { return call(from, to); });
}
int unlinkat(int folder, char const* path, int flags) {
    static auto const call = real<int (*)(int, char const*, int)>("unlinkat");
    return on_path(flags & AT_REMOVEDIR ? Call::rmdir : Call::unlink, absolute(folder, path), "",
                   [&] { return call(folder, path, flags); });
}
int unlink(char const* path) {
    return unlinkat(AT_FDCWD, path, 0);
}
int rmdir(char const* path) {
    return unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}
int remove(char const* path) {
    struct stat found {};
    bool const folder = lstat(path, &found) == 0 && S_ISDIR(found.st_mode);
    return unlinkat(AT_FDCWD, path, folder ? AT_REMOVEDIR : 0);
}
int mkdir(char const* path, mode_t mode) {
    static auto const call = real<int (*)(char const*, mode_t)>("mkdir");
    return on_path(Call::mkdir, absolute(AT_FDCWD, path), "", [&] { return call(path, mode); });
}

} // extern "C"
