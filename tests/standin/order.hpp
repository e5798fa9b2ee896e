// Decides by vector clocks, when work is queued, which accesses to memory are ordered: exact,
// whatever the timing of a run. Method: Mattern, "Virtual Time and Global States of Distributed
// Systems" (1989), applied to streams and host threads.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace trireme::standin {

/// How much of each timeline (a stream or a host thread) comes before.
using Clock = std::vector<std::uint64_t>;

/// Part of memory that a piece of work reads or writes.
struct Range {
    void const* begin;
    std::size_t bytes;
};

/// Not thread-safe.
class Order {
  public:
    int add_timeline(std::string name);
    Clock const& clock(int timeline) const { return clocks_[static_cast<std::size_t>(timeline)]; }
    /// Orders what `timeline` does from now on after `before`.
    void join(int timeline, Clock const& before);
    /// Ensures that what `timeline` does from now on does not come before anything that knows its
    /// past.
    void tick(int timeline) {
        ++clocks_[static_cast<std::size_t>(timeline)][static_cast<std::size_t>(timeline)];
    }

    void add_memory(int timeline, Range whole, std::string name);
    void remove_memory(int timeline, void const* begin);
    bool holds(void const* address) const; ///< it is in living memory
    /// Records a violation if the range is not in living memory, or if an access that conflicts is
    /// not ordered before.
    void access(int timeline, Range range, bool write, std::string const& what);

    void violate(std::string what) { violations_.push_back(std::move(what)); }
    std::vector<std::string> const& violations() const { return violations_; }

  private:
    struct Access {
        std::uintptr_t begin, end;
        bool write;
        int timeline;
        std::uint64_t time;
        std::string what;
    };
    struct Memory {
        std::size_t bytes;
        std::string name;
        std::vector<Access> accesses;
    };
    bool knows(int timeline, Access const& earlier) const;

    std::vector<std::string> names_;
    std::vector<Clock> clocks_;
    std::map<std::uintptr_t, Memory> memory_; ///< by first address
    std::vector<std::string> violations_;
};

} // namespace trireme::standin
