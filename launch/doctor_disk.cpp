// Whether the folders of a run can take checkpoints and give data.
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <optional>
#include <thread>

#include "cluster/error.hpp"
#include "cluster/gather.hpp"
#include "framework/run/disk_room.hpp"
#include "launch/doctor.hpp"

namespace trireme::launch {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kProbe = std::size_t{64} << 20, kPiece = std::size_t{1} << 20;
constexpr double kLittleRoom = 5e9;
constexpr auto kPatience =
    // network file systems remember for some seconds that a file is not there
    std::chrono::seconds(3);

std::string existing_parent(std::string const& folder) {
    std::error_code none;
    fs::path path = fs::absolute(folder, none).lexically_normal();
    while (!fs::exists(path, none) && path.has_relative_path()) path = path.parent_path();
    return path.string();
}

struct Place {
    double free = 0; ///< bytes
    std::string kind;
    bool memory = false; ///< gone when the machine is
};
/// Name of a file system by the number that statfs gives.
std::string file_system(long type) {
    constexpr long kLustre = 0x0bd00bd0, kGpfs = 0x47504653, kBeegfs = 0x19830326,
                   kXfs = 0x58465342, kCeph = 0x00c36400;
    switch (type) {
    case NFS_SUPER_MAGIC: return "nfs";
    case TMPFS_MAGIC: return "tmpfs";
    case EXT4_SUPER_MAGIC: return "ext4";
    case OVERLAYFS_SUPER_MAGIC: return "overlay";
    case BTRFS_SUPER_MAGIC: return "btrfs";
    case kLustre: return "lustre";
    case kGpfs: return "gpfs";
    case kBeegfs: return "beegfs";
    case kXfs: return "xfs";
    case kCeph: return "ceph";
    default: return fmt::format("type {:#x}", static_cast<unsigned long>(type));
    }
}

Place look_at(std::string const& folder) {
    struct statfs found {};
    if (statfs(folder.c_str(), &found) != 0) return {0, std::strerror(errno), false};
    std::string const kind = file_system(static_cast<long>(found.f_type));
    return {static_cast<double>(found.f_bavail) * static_cast<double>(found.f_bsize), kind,
            kind == "tmpfs"};
}

struct Speed {
    double cached = 0, synced = 0; ///< MB/s until the page cache has it, until the disk has it
};
/// Records what the probe file met: texts say what failed.
struct Trouble {
    std::optional<std::string> write, lock;
};
/// Says which call failed, and why.
std::string failed(char const* call) {
    return fmt::format("{}: {}", call, cluster::reason_of(errno));
}

/// Writes the bytes of the probe, syncs them and takes the time. Returns what failed, if anything.
std::optional<std::string> write_bytes(int file, Speed& speed) {
    std::string const piece(kPiece, 'x');
    auto const start = std::chrono::steady_clock::now();
    auto const rate = [&] {
        std::chrono::duration<double> const took = std::chrono::steady_clock::now() - start;
        return static_cast<double>(kProbe) * 1e-6 / took.count();
    };
    std::optional<std::string> trouble;
    for (std::size_t done = 0; done < kProbe && !trouble; done += kPiece)
        if (write(file, piece.data(), kPiece) != static_cast<ssize_t>(kPiece))
            trouble = failed("write");
    speed.cached = rate();
    if (!trouble && fsync(file) != 0) trouble = failed("fsync");
    speed.synced = rate();
    return trouble;
}

/// Writes the probe file.
Trouble write_probe(std::string const& path, Speed& speed) {
    int const file = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0) return {failed("open"), {}};
    std::optional<std::string> lock; // as RUN/lock is taken
    if (flock(file, LOCK_EX | LOCK_NB) != 0) lock = failed("flock");
    std::optional<std::string> trouble = write_bytes(file, speed);
    close(file);
    std::string const renamed = path + ".renamed";
    if (!trouble && (std::rename(path.c_str(), renamed.c_str()) != 0 ||
                     std::rename(renamed.c_str(), path.c_str()) != 0))
        trouble = failed("rename");
    return {trouble, lock};
}

bool appears(std::string const& path) {
    auto const limit = std::chrono::steady_clock::now() + kPatience;
    do {
        if (access(path.c_str(), R_OK) == 0) return true;
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
    } while (std::chrono::steady_clock::now() < limit);
    return false;
}

/// Ranks whose answer is "no". Collective.
std::string ranks_without(cluster::Communicator& world, bool mine) {
    auto const answers = cluster::all_gather_bytes(world, mine ? "y" : "n", "doctor/sees");
    std::string text;
    for (std::size_t r = 0; r < answers.size(); ++r)
        if (answers[r] == "n") text += fmt::format("{}{}", text.empty() ? "" : ", ", r);
    return text;
}

Finding judge_room(std::string const& folder, Place const& place) {
    framework::run::Quota const quota = framework::run::quota_of(folder);
    std::string const text = fmt::format("{} ({}): {:.1f} GB free; {}", folder, place.kind,
                                         place.free * 1e-9, quota.line());
    if (quota.known == framework::run::Quota::Known::limit &&
        static_cast<double>(quota.free) < kLittleRoom)
        return {Severity::warning, "run folder", text,
                "`quota -s` shows the quota; ask for more, or choose another --run"};
    if (place.memory)
        return {Severity::warning, "run folder", text + ", in memory: gone when the machine is",
                "choose a disk for --run"};
    if (place.free < kLittleRoom)
        return {Severity::warning, "run folder", text,
                "a checkpoint takes 12 bytes for each parameter, and checkpoint.keep_last + 2 of "
                "them can be there at "
                "once"};
    return {Severity::ok, "run folder", text, ""};
}

Finding judge_write(std::string const& parent, Trouble const& trouble, Speed const& speed) {
    if (trouble.write)
        return {Severity::problem, "write", fmt::format("{}: {}", parent, *trouble.write),
                "choose another --run, or make room and get write permission there"};
    return {Severity::ok, "write",
            fmt::format(
                "64 MiB at {:.0f} MB/s into the page cache, {:.0f} MB/s with fsync; rename works",
                speed.cached, speed.synced),
            ""};
}

Finding judge_lock(std::string const& parent, std::string const& trouble) {
    return {Severity::problem, "locks", fmt::format("{}: {}", parent, trouble),
            "put the run folder on a file system with locks (on Lustre: mounted with `flock`)"};
}

} // namespace

Findings check_run_folder(cluster::Communicator& world, std::string const& folder) {
    std::string const parent =
        cluster::broadcast_bytes(world, existing_parent(folder), 0, "doctor/folder");
    std::string const probe = cluster::broadcast_bytes(
        world, fmt::format("{}/.trireme-doctor-{}", parent, getpid()), 0, "doctor/probe");
    Speed speed;
    Trouble trouble;
    if (world.rank() == 0) trouble = write_probe(probe, speed);
    world.barrier("doctor/written");
    std::string const blind = ranks_without(world, trouble.write || appears(probe));
    if (world.rank() == 0) unlink(probe.c_str());
    Findings findings{judge_room(parent, look_at(parent))};
    findings.push_back(judge_write(parent, trouble, speed));
    if (trouble.lock) findings.push_back(judge_lock(parent, *trouble.lock));
    if (!blind.empty() && world.rank() == 0 && !trouble.write)
        findings.push_back({Severity::problem, "shared",
                            fmt::format("{}: not seen by ranks {}", parent, blind),
                            "put the run folder on a file system that all hosts share"});
    return findings;
}

Findings check_data_folder(cluster::Communicator& world, std::string const& folder) {
    std::string const manifest = folder + "/manifest.json";
    std::string const blind = ranks_without(world, access(manifest.c_str(), R_OK) == 0);
    if (!blind.empty())
        return {{Severity::problem, "data folder",
                 fmt::format("{}: cannot be read by ranks {}", manifest, blind),
                 "a folder that `trireme prepare` wrote, on a file system that all hosts share"}};
    Place const place = look_at(folder);
    return {{Severity::ok, "data folder",
             fmt::format("{} ({}): read by all ranks", folder, place.kind), ""}};
}

} // namespace trireme::launch
