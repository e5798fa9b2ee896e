#include "cluster/process.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <exception>
#include <new>

#include "cluster/error.hpp"

namespace trireme::cluster {

namespace {

int failure = 0; ///< errno of the first write to standard output that failed

void note_failure() {
    if (failure == 0 && std::ferror(stdout)) failure = errno ? errno : EIO;
}

[[noreturn]] void end_with_a_line() {
    try {
        if (auto const error = std::current_exception()) std::rethrow_exception(error);
        say_text("trireme: ended without an exception (std::terminate)\n");
    } catch (std::bad_alloc const&) {
        say_text("trireme: out of memory: an allocation failed (std::bad_alloc)\n");
    } catch (std::exception const& error) {
        say("trireme: {}\n", line_of(error));
    } catch (...) {
        say_text("trireme: failed with an exception of no known type\n");
    }
    std::_Exit(kFailed);
}

} // namespace

void guard_process() {
    for (int const stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
        // Reading only: what is printed to a closed standard output fails as it did before.
        if (fcntl(stream, F_GETFD) < 0 && errno == EBADF && open("/dev/null", O_RDONLY) != stream)
            std::_Exit(kFailed);
    std::signal(SIGPIPE, SIG_IGN);
    std::signal(SIGXFSZ, SIG_IGN);
    std::set_terminate(end_with_a_line);
}

void say_text(std::string_view text) noexcept {
    static_cast<void>(std::fwrite(text.data(), 1, text.size(), stderr));
    static_cast<void>(std::fflush(stderr));
}

void print_text(std::string_view text) noexcept {
    errno = 0;
    static_cast<void>(std::fwrite(text.data(), 1, text.size(), stdout));
    // whoever flushes it later, as Python does at its end, loses the reason
    static_cast<void>(std::fflush(stdout));
    note_failure();
}

std::string output_failure() {
    note_failure();
    return failure ? "standard output: " + reason_of(failure) : "";
}

void finish_output(Reader reader) {
    errno = 0;
    if (std::fflush(stdout) != 0 && failure == 0) failure = errno ? errno : EIO;
    note_failure();
    bool const gone = failure == EPIPE || failure == EIO || failure == EBADF;
    if (failure != 0 && !(gone && reader == Reader::optional)) throw JobError(output_failure());
}

} // namespace trireme::cluster
