// Views of a flight record that the watch reads, while the thread that computes writes it.
#include <algorithm>
#include <cstddef>
#include <cstring>

#include "cluster/flight_block.hpp"
#include "cluster/flight_record.hpp"

namespace trireme::cluster {

int FlightRecorder::rank() const {
    return block_->header.rank;
}

std::string FlightRecorder::run_folder() const {
    std::scoped_lock const lock(mutex_);
    return run_folder_;
}

void FlightRecorder::set_deadline_action(std::function<void()> action) {
    std::scoped_lock const lock(mutex_);
    deadline_action_ = std::move(action);
}

Flight FlightRecorder::snapshot() const {
    std::scoped_lock const lock(mutex_);
    Flight copy{block_->header, {}};
    copy.groups.assign(block_->groups.begin(), block_->groups.begin() + block_->header.groups);
    return copy;
}

void FlightRecorder::beat() {
    std::scoped_lock const lock(mutex_);
    block_->header.heartbeat = flight_now();
}

double FlightRecorder::oldest_call() const {
    std::scoped_lock const lock(mutex_);
    std::int64_t const at = flight_now();
    std::int64_t oldest = 0;
    for (std::size_t i = 0; i < block_->header.groups; ++i) {
        FlightGroup const& g = block_->groups[i];
        for (std::size_t c = 0; c < std::min<std::uint64_t>(g.calls, kFlightCalls); ++c)
            if (g.ring[c].state == CallState::started || g.ring[c].state == CallState::waited_for)
                oldest = std::max(oldest, at - g.ring[c].start);
    }
    return static_cast<double>(oldest) * 1e-9;
}

CallHashes FlightRecorder::hashes(std::size_t group, std::uint64_t first) const {
    std::scoped_lock const lock(mutex_);
    std::uint64_t const end = block_->groups[group].ordinals,
                        kept = std::min<std::uint64_t>(end, kHashes);
    CallHashes found{std::max(first, end - kept), {}};
    for (std::uint64_t o = found.first; o < end; ++o)
        found.hashes.push_back(traces_[group].hashes[o % kHashes]);
    return found;
}

std::size_t FlightRecorder::group_count() const {
    std::scoped_lock const lock(mutex_);
    return block_->header.groups;
}

std::optional<std::size_t> FlightRecorder::find_group(std::string_view name) const {
    std::scoped_lock const lock(mutex_);
    for (std::size_t i = 0; i < block_->header.groups; ++i)
        if (name == block_->groups[i].name.data() && block_->groups[i].leader >= 0) return i;
    return std::nullopt;
}

std::vector<int> FlightRecorder::members(std::string_view group) const {
    std::scoped_lock const lock(mutex_);
    std::string_view const cut = group.substr(0, sizeof FlightGroup::name - 1);
    for (std::size_t i = 0; i < block_->header.groups; ++i)
        if (cut == block_->groups[i].name.data()) return traces_[i].members;
    return {};
}

FlightGroup FlightRecorder::group_facts(std::size_t group) const {
    std::scoped_lock const lock(mutex_);
    FlightGroup facts{};
    FlightGroup const& g = block_->groups[group];
    std::memcpy(&facts, &g, offsetof(FlightGroup, ring));
    return facts;
}

} // namespace trireme::cluster
