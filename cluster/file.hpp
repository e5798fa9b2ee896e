// Files that are there whole or not at all.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace trireme::cluster {

/// A folder of nobody else's beside PATH while its files are written: PATH appears whole by
/// `commit`, or not at all.
class StagingFolder {
  public:
    /// Makes the folder, empty, and those above it. Throws JobError.
    explicit StagingFolder(std::string const& path);
    /// Removes what was not committed.
    ~StagingFolder();
    StagingFolder(StagingFolder const&) = delete;
    StagingFolder& operator=(StagingFolder const&) = delete;
    std::string const& path() const { return staging_; }
    /// Throws JobError.
    void commit() const;

  private:
    std::string path_, staging_;
};

/// Makes the content of a file or a folder's entries survive a power loss. Throws JobError with
/// path and reason.
void sync_path(std::string const& path);
/// Syncs `staging`, renames it to `path`, syncs the folder. Throws JobError.
void commit_file(std::string const& staging, std::string const& path);
/// All of `text`, whatever interrupts; false with errno if the disk does not take it.
bool write_all(int descriptor, std::string_view text);
/// Names in a folder, ascending; none if it is not there. Throws InputError if it cannot be read:
/// it is not empty then.
std::vector<std::string> list_folder(std::string const& path);
/// Writes `text` to `path`, a file of a folder of ours, by way of PATH.partial, which is made anew,
/// so that no link is followed. Throws JobError. For a file that a user named:
/// cluster/output_file.hpp.
void write_file(std::string const& path, std::string_view text);
/// bytes of a file that is read as a whole
inline constexpr std::int64_t kMostText = INT64_C(1) << 30;

/// The whole file. Throws InputError if it cannot be read, is not a regular file, has more than
/// `most` bytes or is a pointer of Git LFS.
std::string read_file(std::string const& path, std::int64_t most = kMostText);
/// Bytes of a file that can be read. Throws InputError if it is missing, closed to us, or a folder,
/// pipe or device.
std::int64_t readable_size(std::string const& path);
/// Whether something is at `path`. Throws InputError where that cannot be told, as in a folder
/// closed to us.
bool is_there(std::string const& path);
/// Throws InputError if the file is what `git clone` leaves in place of a large file: a pointer of
/// Git LFS.
void refuse_lfs_pointer(std::string const& path);
/// Throws InputError if the file, which is to be a text, has a hole: bytes that nobody wrote and
/// that read as zeros. A file of a terabyte that holds nothing would be read for hours.
void refuse_holes(std::string const& path);
/// FOLDER/NAME for a name that a file of FOLDER lists, and that might lead elsewhere. Throws
/// InputError "legal: ..." unless it is a base name of a regular file in the folder, or a link that
/// stays in it. Links of Hugging Face's own cache (snapshots/X/NAME -> blobs/Y) are legal.
std::string listed_file(std::string const& folder, std::string const& name);
/// Throws InputError unless files can be made in `path` or, while it does not exist, in the nearest
/// folder above it. `field`: of the message, what the user gave the path by.
void check_writable_folder(std::string const& field, std::string const& path);
/// Checks the same for a folder that is to be written as a whole: it must be absent or empty.
void check_new_folder(std::string const& field, std::string const& path);
/// XXH3 of 128 bits over the whole file, as hexadecimal digits. Throws InputError if it cannot be
/// read or has more than `most` bytes.
std::string xxh3_of_file(std::string const& path, std::int64_t most = INT64_MAX);
/// SHA-256 of the whole file, lower-case hex, as sha256sum prints it. Throws InputError if it
/// cannot be read.
std::string sha256_of_file(std::string const& path);

} // namespace trireme::cluster
