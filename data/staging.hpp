// Copies of prepared data on a disk of the node, each in a folder that is named by its manifest's
// hash, so that whatever is found there is either the same data or broken.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace trireme::data {

struct StagedFile {
    std::string from, to; ///< paths
    std::int64_t bytes = 0;
    std::string xxh3; ///< of the whole file
};

/// The folder of copies of FOLDER below `to`. Throws InputError if FOLDER has no manifest. Local.
std::string staged_folder(std::string const& folder, std::string const& to);

/// Files that reading `splits` of FOLDER takes, its manifest last. Splits that it does not have are
/// left out. Throws InputError. Local; reads nothing but the manifest.
std::vector<StagedFile> staged_files(std::string const& folder,
                                     std::vector<std::string> const& splits, std::string const& to);

/// Holds a folder of copies against other jobs of the node that stage the same data, and waits for
/// them. Makes the folder, and clears away what a job that was killed left half written. Throws
/// InputError naming `data.stage_to` if the folder cannot be made. Local.
class StagingLock {
  public:
    explicit StagingLock(std::string const& folder);
    ~StagingLock();
    StagingLock(StagingLock const&) = delete;
    StagingLock& operator=(StagingLock const&) = delete;
    /// Takes the copies away; the file of the lock stays, since others may wait for it.
    void remove();

  private:
    std::string folder_;
    int file_ = -1;
};

/// Is the copy there, with the right hash? Reads all of it. Local.
bool is_staged(StagedFile const& file);
/// Why these files cannot be copied: "data.stage_to: ..." if the disk has too little room for them;
/// else empty. Local.
std::string staging_refusal(std::vector<StagedFile> const& missing);
/// Copies and hashes one file, which is there whole or not at all. Throws InputError if the
/// original is not what the manifest says, JobError if it cannot be written. Local.
void stage(StagedFile const& file);

} // namespace trireme::data
