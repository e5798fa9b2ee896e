#include "cluster/staging.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <random>

#include "cluster/error.hpp"

namespace trireme::cluster {

void fail_by_errno(std::string const& path, char const* what) {
    int const reason = errno;
    JobError const error(path + ": " + what + ": " + reason_of(reason));
    errno = reason;
    throw error;
}

namespace {

/// `make` returns a value below zero, and EEXIST in errno, for a name that somebody has.
template <typename Make>
std::string make_name(std::string const& path, Make const& make) {
    std::random_device random;
    for (int attempt = 0; attempt < 100; ++attempt) {
        std::string staging = fmt::format("{}.partial-{:08x}", path, random());
        if (make(staging.c_str()) >= 0) return staging;
        if (errno != EEXIST) break;
    }
    fail_by_errno(path, "cannot be made");
}

} // namespace

std::string followed(std::string const& path) {
    // Step by step, since the last link may lead to what is not there yet.
    constexpr int kMostLinks = 40; // as many as the system follows
    std::filesystem::path target = path;
    std::error_code error;
    for (int i = 0; i < kMostLinks && std::filesystem::is_symlink(target, error); ++i) {
        auto const next = std::filesystem::read_symlink(target, error);
        if (error) break;
        auto const there = next.is_absolute() ? next : target.parent_path() / next;
        // The system's own links to open streams name no path: "pipe:[123]".
        bool const stream =
            std::filesystem::exists(target, error) && !std::filesystem::exists(there, error);
        if (stream) break;
        target = there;
    }
    return target.string();
}

std::string make_staging_file(std::string const& path) {
    return make_name(path, [](char const* name) {
        int const file = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        return file < 0 ? file : close(file);
    });
}

std::string make_staging_folder(std::string const& path) {
    return make_name(path, [](char const* name) { return mkdir(name, 0777); });
}

void write_all(std::string const& path, int flags, std::string_view text,
               std::string const& shown) {
    int const file = open(path.c_str(), flags | O_CLOEXEC, 0666);
    if (file < 0) fail_by_errno(shown, "write");
    bool whole = true;
    while (whole && !text.empty()) {
        ssize_t const n = write(file, text.data(), text.size());
        if (n > 0) text.remove_prefix(static_cast<std::size_t>(n));
        whole = n > 0 || (n < 0 && errno == EINTR);
    }
    int const reason = errno;
    whole = close(file) == 0 && whole;
    if (whole) return;
    if (!text.empty()) errno = reason;
    fail_by_errno(shown, "write");
}

} // namespace trireme::cluster
