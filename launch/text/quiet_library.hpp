// Silence of the tokenizers library.
#pragma once
#include <fcntl.h>
#include <unistd.h>

namespace trireme::launch::text {

/// Keeps the standard error for our own line: a panic of the library writes there, before it
/// becomes an exception with the same words.
class QuietLibrary {
  public:
    QuietLibrary() : kept_(fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3)) {
        int const nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
        if (kept_ >= 0 && nowhere >= 0) dup2(nowhere, STDERR_FILENO);
        if (nowhere >= 0) close(nowhere);
    }
    ~QuietLibrary() {
        if (kept_ < 0) return;
        dup2(kept_, STDERR_FILENO);
        close(kept_);
    }
    QuietLibrary(QuietLibrary const&) = delete;
    QuietLibrary& operator=(QuietLibrary const&) = delete;

  private:
    int kept_;
};

} // namespace trireme::launch::text
