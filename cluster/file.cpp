#include "cluster/file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <vector>

#include "cluster/error.hpp"
#include "cluster/interruption.hpp"
#include "cluster/sha256.hpp"
#include "cluster/staging.hpp"
#include "cluster/xxh3.hpp"

namespace trireme::cluster {

namespace {

std::string parent(std::string const& path) {
    auto const folder = std::filesystem::path(path).parent_path();
    return folder.empty() ? "." : folder.string();
}

/// The folder that `path` names, without what a rename does not take: links, and slashes at its
/// end.
std::string bare(std::string path) {
    while (path.size() > 1 && path.ends_with('/')) path.pop_back();
    auto const name = std::filesystem::path(path).filename();
    if (name == "." || name == "..") return std::filesystem::weakly_canonical(path).string();
    return followed(path);
}

/// Removes what a killed job left under the staging name, and follows no link that somebody put
/// there.
void write_staged(std::string const& staging, std::string_view text, std::string const& path) {
    constexpr int kNew = O_WRONLY | O_CREAT | O_EXCL;
    try {
        write_all(staging, kNew, text, path);
    } catch (JobError const&) {
        if (errno != EEXIST || unlink(staging.c_str()) != 0) throw;
        write_all(staging, kNew, text, path);
    }
}

} // namespace

StagingFolder::StagingFolder(std::string const& path) : path_(bare(path)) {
    std::filesystem::path const above = parent(path_);
    std::error_code error;
    std::filesystem::create_directories(above, error);
    if (error) throw JobError(above.string() + ": cannot be made: " + reason_of(error.value()));
    staging_ = make_staging_folder(path_);
    remove_at_signal(staging_);
}

StagingFolder::~StagingFolder() {
    keep_at_signal(staging_);
    std::error_code ignored;
    std::filesystem::remove_all(staging_, ignored);
}

void StagingFolder::commit() const {
    commit_file(staging_, path_);
}

void sync_path(std::string const& path) {
    int const fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) fail_by_errno(path, "open");
    int const failed = fsync(fd);
    close(fd);
    if (failed) fail_by_errno(path, "fsync");
}

void commit_file(std::string const& staging, std::string const& path) {
    sync_path(staging);
    if (std::rename(staging.c_str(), path.c_str()) != 0) fail_by_errno(path, "rename");
    sync_path(parent(path));
}

bool write_all(int descriptor, std::string_view text) {
    while (!text.empty()) {
        auto const n = write(descriptor, text.data(), text.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return false;
        text.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
}

void write_file(std::string const& path, std::string_view text) {
    std::string const staging = path + ".partial";
    try {
        write_staged(staging, text, path);
    } catch (JobError const&) {
        int const reason = errno;
        unlink(staging.c_str());
        errno = reason;
        throw;
    }
    commit_file(staging, path);
}

std::vector<std::string> list_folder(std::string const& path) {
    namespace fs = std::filesystem;
    std::vector<std::string> names;
    std::error_code error;
    for (fs::directory_iterator at(path, error), end; !error && at != end; at.increment(error))
        names.push_back(at->path().filename().string());
    if (error == std::errc::no_such_file_or_directory) return {};
    if (error)
        throw InputError(path + ": cannot be listed: " + error.message() +
                         "; legal: a folder that can be read");
    std::ranges::sort(names);
    return names;
}

std::int64_t readable_size(std::string const& path) {
    struct stat found {};
    if (stat(path.c_str(), &found) != 0)
        throw InputError(path + ": cannot be read: " + std::strerror(errno));
    if (S_ISDIR(found.st_mode))
        throw InputError(path + ": cannot be read: it is a folder; legal: a file");
    if (!S_ISREG(found.st_mode))
        throw InputError(path +
                         ": cannot be read: it is a pipe, socket or device; legal: a regular file");
    if (access(path.c_str(), R_OK) != 0)
        throw InputError(path + ": cannot be read: " + std::strerror(errno));
    return found.st_size;
}

bool is_there(std::string const& path) {
    struct stat found {};
    if (stat(path.c_str(), &found) == 0) return true;
    if (errno == ENOENT || errno == ENOTDIR) return false;
    throw InputError(path + ": cannot be read: " + std::strerror(errno));
}

namespace {

// git-lfs(1), docs/spec.md
constexpr std::string_view kLfsPointer = "version https://git-lfs.github.com/spec/";

void refuse_if_lfs(std::string const& path, std::string_view start) {
    if (start.starts_with(kLfsPointer))
        throw InputError(
            path +
            ": a pointer of Git LFS in place of the file; legal: the file itself: run `git lfs "
            "pull` in its folder");
}

void check_size(std::string const& path, std::int64_t size, std::int64_t most) {
    if (size > most)
        throw InputError(path + ": " + std::to_string(size) + " bytes: legal: at most " +
                         std::to_string(most));
}

} // namespace

void refuse_lfs_pointer(std::string const& path) {
    std::ifstream file(path, std::ios::binary);
    std::string start(kLfsPointer.size(), '\0');
    file.read(start.data(), static_cast<std::streamsize>(start.size()));
    refuse_if_lfs(path, start);
}

void refuse_holes(std::string const& path) {
    std::int64_t const size = readable_size(path);
    int const file = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    // its end, where a file system knows of no holes
    off_t const hole = file < 0 ? size : lseek(file, 0, SEEK_HOLE);
    if (file >= 0) close(file);
    if (hole >= 0 && hole < size)
        throw InputError(path + ": nothing was ever written at byte " + std::to_string(hole) +
                         " of " + std::to_string(size) +
                         ", as in a copy or download that broke off; legal: the complete file");
}

std::string read_file(std::string const& path, std::int64_t most) {
    std::int64_t const size = readable_size(path);
    check_size(path, size, most);
    std::ifstream file(path, std::ios::binary);
    std::string text(static_cast<std::size_t>(size), '\0');
    file.read(text.data(), size);
    if (!file || file.gcount() != size) throw InputError(path + ": read error");
    refuse_if_lfs(path, text);
    return text;
}

std::string listed_file(std::string const& folder, std::string const& name) {
    namespace fs = std::filesystem;
    if (name.empty() || name.find('/') != std::string::npos ||
        name.find('\0') != std::string::npos || name.starts_with('.'))
        throw InputError("file \"" + name +
                         "\": legal: the bare name of a file in the same folder");
    std::string const path = folder + "/" + name;
    readable_size(path);
    fs::path const home = fs::canonical(folder), target = fs::canonical(path),
                   above = home.parent_path();
    bool const of_cache =
        above.filename() == "snapshots" && target.parent_path() == above.parent_path() / "blobs";
    if (target.parent_path() != home && !of_cache)
        throw InputError(path + ": a link to " + target.string() +
                         ": legal: a file in the same folder");
    return path;
}

void check_writable_folder(std::string const& field, std::string const& path) {
    namespace fs = std::filesystem;
    if (path.empty()) throw InputError(field + ": empty; legal: a folder, or one to make");
    fs::path there = fs::absolute(path).lexically_normal();
    std::error_code none;
    while (!fs::exists(there, none) && there.has_relative_path()) there = there.parent_path();
    if (!fs::is_directory(there, none))
        throw InputError(field + ": " + path + ": " + there.string() +
                         " is not a folder; legal: a folder, or one to make");
    if (access(there.c_str(), W_OK | X_OK) != 0)
        throw InputError(field + ": " + path + ": " + there.string() + ": " + reason_of(errno) +
                         "; legal: a folder that you may write to");
}

void check_new_folder(std::string const& field, std::string const& path) {
    namespace fs = std::filesystem;
    std::error_code none;
    if (fs::is_directory(path, none) && !fs::is_empty(path, none))
        throw InputError(field + ": " + path +
                         ": exists already; legal: a new folder, since none is overwritten");
    check_writable_folder(field, path);
    std::string const folder = bare(path);
    if (!fs::is_directory(parent(folder), none)) return;
    try {
        fs::remove(make_staging_folder(folder), none);
    } catch (JobError const&) {
        throw InputError(field + ": " + path + ": " + reason_of(errno) +
                         "; legal: a folder that can be made there");
    }
}

namespace {

template <typename Hash>
std::string hash_of_file(std::string const& path, std::int64_t most) {
    check_size(path, readable_size(path), most);
    std::ifstream file(path, std::ios::binary);
    Hash hash;
    std::vector<char> buffer(std::size_t{1} << 20);
    while (file) {
        file.read(buffer.data(), static_cast<std::streamsize>(buffer.size()));
        hash.update(buffer.data(), static_cast<std::size_t>(file.gcount()));
    }
    if (file.bad()) throw InputError(path + ": read error");
    return hash.hex();
}

} // namespace

std::string xxh3_of_file(std::string const& path, std::int64_t most) {
    return hash_of_file<Xxh3>(path, most);
}

std::string sha256_of_file(std::string const& path) {
    return hash_of_file<Sha256>(path, INT64_MAX);
}

} // namespace trireme::cluster
