#include "framework/run/lock.hpp"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <ctime>
#include <filesystem>

#include "cluster/error.hpp"
#include "cluster/gather.hpp"
#include "cluster/host.hpp"

namespace trireme::framework::run {

namespace fs = std::filesystem;

namespace {

std::string holder(int descriptor) {
    std::array<char, 256> text{};
    auto const n = pread(descriptor, text.data(), text.size(), 0);
    return n > 0 ? std::string(text.data(), static_cast<std::size_t>(n))
                 : "a job that has not signed yet";
}

std::string signature() {
    char const* const job = std::getenv("SLURM_JOB_ID");
    return fmt::format("process {} on {}{} since {:%Y-%m-%d %H:%M:%S}", getpid(),
                       cluster::host_name(), job ? fmt::format(", Slurm job {},", job) : "",
                       fmt::localtime(std::time(nullptr)));
}

/// Is the open file still the one of that name? Whoever lets go of a lock removes its file.
bool still_named(int descriptor, std::string const& path) {
    struct stat open_file = {}, named_file = {};
    return fstat(descriptor, &open_file) == 0 && stat(path.c_str(), &named_file) == 0 &&
           open_file.st_ino == named_file.st_ino && open_file.st_dev == named_file.st_dev;
}

/// Tries for the lock of the file that `descriptor` is open on. Returns why not; empty if it has
/// it. A file without locks is removed again: it was made here, since no job works in such a place.
std::string try_lock(std::string const& run, std::string const& path, int descriptor) {
    if (flock(descriptor, LOCK_EX | LOCK_NB) == 0) return "";
    if (errno == EWOULDBLOCK)
        return fmt::format("run: {}: another job is at work in it ({}); legal: wait for its end, "
                           "or another folder",
                           run, holder(descriptor));
    int const reason = errno;
    unlink(path.c_str());
    return fmt::format("run: {}: flock: {}; legal: a file system with locks (on Lustre: mounted "
                       "with `flock`), since two jobs in one folder would ruin each other",
                       path, cluster::reason_of(reason));
}

/// Returns why not; empty if taken.
std::string take(std::string const& run, std::string const& path, int& descriptor) {
    while (true) {
        descriptor = open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
        if (descriptor < 0)
            return fmt::format("run: {}: {}; legal: a folder that can be written", path,
                               cluster::reason_of(errno));
        if (auto why = try_lock(run, path, descriptor); !why.empty()) return why;
        if (still_named(descriptor, path)) break;
        close(descriptor);
    }
    std::string const text = signature();
    if (ftruncate(descriptor, 0) != 0 || pwrite(descriptor, text.data(), text.size(), 0) < 0)
        return fmt::format("run: {}: {}; legal: a folder on a disk with room", path,
                           cluster::reason_of(errno));
    return "";
}

} // namespace

Lock::Lock(std::string const& run, cluster::Communicator& world) : run_(run), path_(run + "/lock") {
    std::string trouble;
    if (world.rank() == 0) {
        std::error_code failed; // shows when the file is opened
        made_folder_ = fs::create_directories(run, failed);
        trouble = take(run, path_, descriptor_);
    }
    trouble = cluster::broadcast_bytes(world, trouble, 0, "run/lock");
    if (trouble.empty()) return;
    if (descriptor_ >= 0) close(descriptor_);
    std::error_code not_empty;
    if (made_folder_) fs::remove(run_, not_empty);
    throw cluster::InputError(trouble);
}

void Lock::check_held(cluster::Communicator& world) const {
    std::uint8_t lost = world.rank() == 0 && !still_named(descriptor_, path_);
    world.broadcast({&lost, 1, cluster::DType::u8}, 0, "run/lock").wait();
    if (lost)
        throw cluster::JobError(
            fmt::format("run: {}: the folder was removed or replaced while this job was at work in "
                        "it ({} is not its own any more): nothing is saved there",
                        run_, path_));
}

Lock::~Lock() {
    if (descriptor_ < 0) return;
    // else another job's, in a folder of the same name
    bool const ours = still_named(descriptor_, path_);
    if (ours) unlink(path_.c_str());
    close(descriptor_);
    if (!ours) return;
    std::error_code not_empty;
    if (made_folder_) fs::remove(run_, not_empty); // nothing came of the job: nothing is left of it
}

} // namespace trireme::framework::run
