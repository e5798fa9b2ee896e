// Room on the disk against what a run will write there. Local.
#pragma once
#include <cstdint>
#include <string>

#include "framework/run/section.hpp"

namespace trireme::framework::run {

/// Room that the quotas of this user and of the group that owns new files leave on a file system.
struct Quota {
    enum class Known { no, none, limit };
    /// no: the file system does not answer quotactl(2), as NFS, Lustre and GPFS, which have tools
    /// of their own; none: it answers that nothing is limited
    Known known = Known::no;
    std::int64_t free = 0; ///< bytes, where there is a limit
    /// "quota: 1.2 GB left", "quota: none" or "quota: not known here"
    std::string line() const;
};

/// `folder` exists. Local; never throws.
Quota quota_of(std::string const& folder);

struct DiskRoom {
    std::string place; ///< the run folder, or the nearest folder above it that is there
    /// bytes of one: weights and two moments; the files' own tables come on top
    std::int64_t checkpoint = 0;
    std::int64_t most = 1;    ///< that can be there at once, the one being written included
    std::int64_t present = 0; ///< bytes that earlier jobs of the run left in checkpoints/
    /// bytes that this user may still take: statvfs, which knows project quotas, and at most what
    /// `quota` leaves
    std::int64_t free = 0;
    Quota quota;
    bool known = false; ///< whether the file system says how much is free

    std::int64_t needed() const; ///< bytes that are still to come
    /// "run: PLACE: ... legal: ..." where it cannot fit; else empty.
    std::string refusal() const;
    /// "3 checkpoints of 270.1 MB at once, 12.3 GB free in PLACE"
    std::string line() const;
};

/// Checkpoints that a run is still to write.
struct SavesToCome {
    CheckpointSection rules = {};
    std::int64_t bytes = 0;     ///< of one: weights and two moments
    std::int64_t steps = 0;     ///< that are still to be made
    std::int64_t evaluated = 0; ///< steps between evaluations; 0: there are none
};
/// `run`: its folder, which need not be there.
DiskRoom disk_room(std::string const& run, SavesToCome const& saves);

/// 1234567 -> "1.2 MB"
std::string bytes_text(std::int64_t bytes);

} // namespace trireme::framework::run
