#include "data/staging.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "cluster/error.hpp"
#include "cluster/fault.hpp"
#include "cluster/file.hpp"
#include "cluster/host.hpp"
#include "cluster/read_at.hpp"
#include "cluster/staging.hpp"
#include "cluster/xxh3.hpp"
#include "data/manifest.hpp"

namespace trireme::data {

namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kPiece = std::int64_t{4} << 20; ///< bytes that are copied at a time

/// A file that is open for as long as this lives.
class Open {
  public:
    Open(std::string const& path, int flags)
        : descriptor(open(path.c_str(), flags | O_CLOEXEC, 0666)) {}
    ~Open() {
        if (descriptor >= 0) close(descriptor);
    }
    Open(Open const&) = delete;
    Open& operator=(Open const&) = delete;
    int const descriptor;
};

[[noreturn]] void fail_to_write(std::string const& path) {
    throw cluster::JobError(fmt::format("data.stage_to: {}: {}: {}", cluster::host_name(), path,
                                        cluster::reason_of(errno)));
}

/// Copies a file and returns the hash of what was read.
std::string copy_hashed(std::string const& from, std::string const& to) {
    Open const in(from, O_RDONLY);
    if (in.descriptor < 0)
        throw cluster::InputError(from + ": " + cluster::reason_of(errno) + "; legal: a file");
    Open const out(to, O_WRONLY | O_TRUNC);
    if (out.descriptor < 0) fail_to_write(to);
    cluster::Xxh3 hash;
    std::string piece(static_cast<std::size_t>(kPiece), '\0');
    for (std::int64_t at = 0;;) {
        std::int64_t const read = cluster::read_at(in.descriptor, piece.data(), at, kPiece);
        if (read < 0) throw cluster::InputError(from + ": " + cluster::reason_of(errno));
        std::string_view const text(piece.data(), static_cast<std::size_t>(read));
        hash.update(text.data(), text.size());
        if (!cluster::write_all(out.descriptor, text)) fail_to_write(to);
        at += read;
        if (read < kPiece) return hash.hex();
    }
}

std::int64_t free_bytes(std::string const& folder) {
    if (cluster::fault_point("stage/room")) return 0;
    struct statvfs disk {};
    if (statvfs(folder.c_str(), &disk) != 0) return INT64_MAX; // told where it is written
    return static_cast<std::int64_t>(disk.f_bavail) * static_cast<std::int64_t>(disk.f_frsize);
}

} // namespace

std::string staged_folder(std::string const& folder, std::string const& to) {
    read_manifest(folder); // says in the usual words what is wrong with it
    return fmt::format("{}/trireme-{}", to, cluster::xxh3_of_file(folder + "/manifest.json"));
}

std::vector<StagedFile> staged_files(std::string const& folder,
                                     std::vector<std::string> const& splits,
                                     std::string const& to) {
    Manifest const manifest = read_manifest(folder);
    std::string const target = staged_folder(folder, to);
    std::vector<StagedFile> files;
    auto const add = [&](std::string const& name, std::string const& xxh3) {
        std::string const path = cluster::listed_file(folder, name);
        files.push_back({path, target + "/" + name, cluster::readable_size(path), xxh3});
    };
    for (auto const& [name, split] : manifest.splits) {
        if (std::ranges::find(splits, name) == splits.end()) continue;
        for (auto const& shard : split.shards) add(shard.file, shard.xxh3);
        if (split.questions) add(split.questions->file, split.questions->xxh3);
    }
    add("manifest.json", cluster::xxh3_of_file(folder + "/manifest.json"));
    return files;
}

StagingLock::StagingLock(std::string const& folder) : folder_(folder) {
    std::error_code error;
    fs::create_directories(fs::path(folder_).parent_path(), error);
    if (!error) file_ = open((folder_ + ".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    int reason = error ? error.value() : errno;
    if (file_ >= 0) {
        while (flock(file_, LOCK_EX) != 0 && errno == EINTR) continue;
        fs::create_directory(folder_, error);
        reason = error.value();
    }
    if (file_ < 0 || error) {
        if (file_ >= 0) close(file_);
        throw cluster::InputError(fmt::format(
            "data.stage_to: {}: {}: {}; legal: a folder on a disk of the node that can be written",
            fs::path(folder_).parent_path().string(), cluster::host_name(),
            cluster::reason_of(reason)));
    }
    for (auto const& name : cluster::list_folder(folder_))
        if (name.find(".partial-") != std::string::npos) fs::remove(folder_ + "/" + name, error);
}

StagingLock::~StagingLock() {
    close(file_);
}

void StagingLock::remove() {
    std::error_code ignored; // whoever cleans the disk of the node finds what is left
    fs::remove_all(folder_, ignored);
}

bool is_staged(StagedFile const& file) {
    std::error_code none;
    return fs::is_regular_file(file.to, none) &&
           static_cast<std::int64_t>(fs::file_size(file.to, none)) == file.bytes &&
           cluster::xxh3_of_file(file.to) == file.xxh3;
}

std::string staging_refusal(std::vector<StagedFile> const& missing) {
    if (missing.empty()) return "";
    std::int64_t needed = 0;
    for (auto const& file : missing) needed += file.bytes;
    std::string const folder = fs::path(missing.front().to).parent_path().string();
    std::int64_t const free = free_bytes(folder);
    if (needed <= free) return "";
    return fmt::format("data.stage_to: {}: {}: {:.1f} MB to copy and {:.1f} MB free; legal: a disk "
                       "with room for them, or no data.stage_to",
                       fs::path(folder).parent_path().string(), cluster::host_name(),
                       static_cast<double>(needed) * 1e-6, static_cast<double>(free) * 1e-6);
}

void stage(StagedFile const& file) {
    std::string const partial = cluster::make_staging_file(file.to);
    try {
        std::string const hash = copy_hashed(file.from, partial);
        cluster::fault_point("stage/copied");
        if (hash != file.xxh3)
            throw cluster::InputError(
                file.from +
                ": content does not match the hash in the manifest; prepare the data again");
        if (rename(partial.c_str(), file.to.c_str()) != 0) fail_to_write(file.to);
    } catch (...) {
        unlink(partial.c_str());
        throw;
    }
}

} // namespace trireme::data
