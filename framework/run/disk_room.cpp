#include "framework/run/disk_room.hpp"

#include <fmt/format.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <array>
#include <filesystem>

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
std::int64_t most_at_once(config::Config const& config, std::int64_t steps,
                          std::int64_t steps_per_epoch, std::int64_t present) {
    auto const& c = config.checkpoint;
    std::int64_t const evaluated =
        config.evaluation.every > 0 ? config.evaluation.every : steps_per_epoch;
    std::int64_t saves = 1; // at the end
    if (c.minutes > 0) saves = steps;
    if (c.every > 0) saves += steps / c.every;
    if (c.keep_best && evaluated > 0) saves += steps / evaluated;
    std::int64_t const kept = c.keep_last + (c.keep_best && evaluated > 0 ? 1 : 0) +
                              (c.keep_every > 0 ? steps / c.keep_every : 0);
    return std::min(kept + 1, present + std::min(saves, std::max<std::int64_t>(1, steps)));
}

} // namespace

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
    return fmt::format("run: {}: {} free, and the run will write {}: up to {} checkpoint{} of {} "
                       "at once; legal: a disk "
                       "with room, or fewer of them (checkpoint.keep_last, keep_best, keep_every)",
                       place, bytes_text(free), bytes_text(needed()), most, most == 1 ? "" : "s",
                       bytes_text(checkpoint));
}

DiskRoom disk_room(config::Config const& config, std::int64_t parameters, std::int64_t steps,
                   std::int64_t steps_per_epoch) {
    DiskRoom room;
    std::error_code none;
    fs::path place = fs::absolute(config.run, none).lexically_normal();
    while (!fs::exists(place, none) && place.has_relative_path()) place = place.parent_path();
    room.place = place.string();
    room.checkpoint = 3 * parameters * (config.numerics.compute == config::Compute::fp64 ? 8 : 4);
    std::string const folder = config.run + "/checkpoints";
    room.most = most_at_once(config, steps, steps_per_epoch,
                             std::ranges::ssize(cluster::list_folder(folder)));
    room.present = bytes_below(folder);
    struct statvfs found {};
    room.known = statvfs(room.place.c_str(), &found) == 0 && found.f_blocks > 0;
    room.free =
        static_cast<std::int64_t>(found.f_bavail) * static_cast<std::int64_t>(found.f_frsize);
    return room;
}

} // namespace trireme::framework::run
