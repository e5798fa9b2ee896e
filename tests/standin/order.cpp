#include "tests/standin/order.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace trireme::standin {

int Order::add_timeline(std::string name) {
    names_.push_back(std::move(name));
    clocks_.emplace_back();
    for (auto& clock : clocks_) clock.resize(clocks_.size(), 0);
    int const made = static_cast<int>(clocks_.size()) - 1;
    tick(made);
    return made;
}

void Order::join(int timeline, Clock const& before) {
    Clock& clock = clocks_[static_cast<std::size_t>(timeline)];
    for (std::size_t t = 0; t < before.size(); ++t) clock[t] = std::max(clock[t], before[t]);
}

bool Order::knows(int timeline, Access const& earlier) const {
    return clock(timeline)[static_cast<std::size_t>(earlier.timeline)] >= earlier.time;
}

void Order::add_memory(int timeline, Range whole, std::string name) {
    auto const begin = reinterpret_cast<std::uintptr_t>(whole.begin);
    memory_[begin] = {whole.bytes, std::move(name), {}};
    access(timeline, whole, true, "allocation");
}

void Order::remove_memory(int timeline, void const* begin) {
    auto const found = memory_.find(reinterpret_cast<std::uintptr_t>(begin));
    if (found == memory_.end())
        return violate(fmt::format("{} frees what is not allocated",
                                   names_[static_cast<std::size_t>(timeline)]));
    access(timeline, {begin, found->second.bytes}, true, "free");
    memory_.erase(found);
}

bool Order::holds(void const* address) const {
    auto const at = reinterpret_cast<std::uintptr_t>(address);
    auto const after = memory_.upper_bound(at);
    return after != memory_.begin() &&
           at < std::prev(after)->first + std::prev(after)->second.bytes;
}

void Order::access(int timeline, Range range, bool write, std::string const& what) {
    if (range.bytes == 0) return;
    std::string const& name = names_[static_cast<std::size_t>(timeline)];
    auto const begin = reinterpret_cast<std::uintptr_t>(range.begin), end = begin + range.bytes;
    auto found = memory_.upper_bound(begin);
    if (found == memory_.begin() || end > std::prev(found)->first + std::prev(found)->second.bytes)
        return violate(fmt::format("{} on {} touches memory that is not allocated", what, name));
    Memory& memory = (--found)->second;
    for (auto const& earlier : memory.accesses) {
        bool const conflict =
            (write || earlier.write) && earlier.begin < end && begin < earlier.end;
        if (conflict && !knows(timeline, earlier))
            violate(fmt::format("{} on {} is not ordered after {} on {} ({})", what, name,
                                earlier.what, names_[static_cast<std::size_t>(earlier.timeline)],
                                memory.name));
    }
    // A write that is ordered after an access and covers it stands for it from now on; so does a
    // later read of a read.
    std::erase_if(memory.accesses, [&](Access const& e) {
        return e.begin >= begin && e.end <= end && knows(timeline, e) &&
               (write || (!e.write && e.timeline == timeline));
    });
    memory.accesses.push_back(
        {begin, end, write, timeline, clock(timeline)[static_cast<std::size_t>(timeline)], what});
}

} // namespace trireme::standin
