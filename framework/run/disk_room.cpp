#include "framework/run/disk_room.hpp"

#include <fmt/format.h>
#include <sys/quota.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "cluster/file.hpp"

namespace trireme::framework::run {

namespace fs = std::filesystem;

namespace {

std::int64_t bytes_below(fs::path const& folder) {
    std::int64_t bytes = 0;
    std::error_code error, gone;
    for (fs::recursive_directory_iterator at(folder, error), end; !error && at != end;
         at.increment(error))
        if (at->is_regular_file(gone)) {
            auto const size = at->file_size(gone);
            if (!gone) bytes += static_cast<std::int64_t>(size);
        }
    return bytes;
}

/// Checkpoints that can be there at once: those that the rules keep, and the one that is being
/// written.
std::int64_t most_at_once(SavesToCome const& to_come, std::int64_t present) {
    auto const& [c, bytes, steps, evaluated] = to_come;
    std::int64_t saves = 1; // at the end
    if (c.minutes > 0) saves = steps;
    if (c.every > 0) saves += steps / c.every;
    if (c.keep_best && evaluated > 0) saves += steps / evaluated;
    std::int64_t const kept = c.keep_last + (c.keep_best && evaluated > 0 ? 1 : 0) +
                              (c.keep_every > 0 ? steps / c.keep_every : 0);
    return std::min(kept + 1, present + std::min(saves, std::max<std::int64_t>(1, steps)));
}

/// The block device of the file system that has `folder`, or empty. The table of mounts is read,
/// and no other file system is touched: one whose server is gone would hold us up for ever.
std::string device_of(struct stat const& folder) {
    // Lines are "36 35 98:0 / /mnt rw - ext4 /dev/sda1 rw" (proc(5)).
    std::ifstream table("/proc/self/mountinfo");
    std::string const number = fmt::format("{}:{}", major(folder.st_dev), minor(folder.st_dev));
    for (std::string line, skipped, found, type, source; std::getline(table, line);) {
        std::istringstream words(line);
        if (!(words >> skipped >> skipped >> found) || found != number) continue;
        while (words >> skipped && skipped != "-") continue;
        if (words >> type >> source && source.starts_with("/dev/")) return source;
    }
    return "";
}

/// Bytes that a quota leaves; INT64_MAX where it has no limit.
std::int64_t left_of(dqblk const& quota) {
    constexpr std::int64_t kBlock = 1024; // quotactl(2): the unit of limits, not of what is used
    bool const grace_over =
        quota.dqb_btime != 0 && std::time(nullptr) >= static_cast<std::time_t>(quota.dqb_btime);
    auto const limit = static_cast<std::int64_t>(
        quota.dqb_bhardlimit == 0 || grace_over ? quota.dqb_bsoftlimit : quota.dqb_bhardlimit);
    if (limit == 0) return INT64_MAX;
    return std::max<std::int64_t>(0,
                                  limit * kBlock - static_cast<std::int64_t>(quota.dqb_curspace));
}

} // namespace

Quota quota_of(std::string const& folder) {
    struct stat found {};
    std::string const device = stat(folder.c_str(), &found) == 0 ? device_of(found) : "";
    if (device.empty()) return {};
    bool const inherited = (found.st_mode & S_ISGID) != 0; // new files get the folder's group
    std::array<std::pair<int, id_t>, 2> const owners{
        {{USRQUOTA, geteuid()}, {GRPQUOTA, inherited ? found.st_gid : getegid()}}};
    Quota quota;
    std::int64_t least = INT64_MAX;
    for (auto const& [type, id] : owners) {
        dqblk answer{};
        bool const limited = quotactl(QCMD(Q_GETQUOTA, type), device.c_str(), static_cast<int>(id),
                                      reinterpret_cast<caddr_t>(&answer)) == 0;
        if (!limited && errno != ESRCH) continue; // ESRCH: no quota is kept of such owners
        quota.known = Quota::Known::none;
        if (limited) least = std::min(least, left_of(answer));
    }
    if (least == INT64_MAX) return quota;
    return {.known = Quota::Known::limit, .free = least};
}

std::string Quota::line() const {
    if (known == Known::no) return "quota: not known here";
    return known == Known::none ? "quota: none" : fmt::format("quota: {} left", bytes_text(free));
}

std::string bytes_text(std::int64_t bytes) {
    constexpr std::array<char const*, 5> kUnits{"bytes", "kB", "MB", "GB", "TB"};
    auto value = static_cast<double>(bytes);
    std::size_t unit = 0;
    for (; value >= 1000 && unit + 1 < kUnits.size(); ++unit) value /= 1000;
    return unit == 0 ? fmt::format("{} bytes", bytes)
                     : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::int64_t DiskRoom::needed() const {
    return std::max<std::int64_t>(0, most * checkpoint - present);
}

std::string DiskRoom::line() const {
    return fmt::format("{} checkpoint{} of {} at once, {} free in {}", most, most == 1 ? "" : "s",
                       bytes_text(checkpoint), known ? bytes_text(free) : "an unknown amount",
                       place);
}

std::string DiskRoom::refusal() const {
    if (!known || needed() <= free) return "";
    bool const by_quota = quota.known == Quota::Known::limit && quota.free == free;
    return fmt::format("run: {}: {}{}, and the run will write {}: up to {} checkpoint{} of {} "
                       "at once; legal: a disk "
                       "with room, or fewer of them (checkpoint.keep_last, keep_best, keep_every)",
                       place, bytes_text(free),
                       by_quota ? " left of your quota (`quota -s`)" : " free",
                       bytes_text(needed()), most, most == 1 ? "" : "s", bytes_text(checkpoint));
}

DiskRoom disk_room(std::string const& run, SavesToCome const& saves) {
    DiskRoom room;
    std::error_code none;
    fs::path place = fs::absolute(run, none).lexically_normal();
    while (!fs::exists(place, none) && place.has_relative_path()) place = place.parent_path();
    room.place = place.string();
    room.checkpoint = saves.bytes;
    std::string const folder = run + "/checkpoints";
    room.most = most_at_once(saves, std::ranges::ssize(cluster::list_folder(folder)));
    room.present = bytes_below(folder);
    struct statvfs found {};
    room.known = statvfs(room.place.c_str(), &found) == 0 && found.f_blocks > 0;
    room.free =
        static_cast<std::int64_t>(found.f_bavail) * static_cast<std::int64_t>(found.f_frsize);
    room.quota = quota_of(room.place);
    if (room.quota.known == Quota::Known::limit) room.free = std::min(room.free, room.quota.free);
    return room;
}

} // namespace trireme::framework::run
