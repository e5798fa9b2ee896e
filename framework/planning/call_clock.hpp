// Collective calls against the clock of one rank that computes meanwhile.
#pragma once
#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <utility>

namespace trireme::framework::planning {

/// Calls of a group are made one after the other, as they were started; calls of different groups
/// do not hinder each other. `Tag` is whatever is kept with a call until it ends.
template <typename Tag>
class CallClock {
  public:
    /// `overlap`: share of what is computed between start and end of a call that hides it.
    explicit CallClock(double overlap) : overlap_(overlap) {}

    void start(std::string_view group, std::uint64_t sequence, double now, double seconds,
               Tag tag) {
        flying_[std::string(group)].push_back({sequence, now, seconds, std::move(tag)});
    }
    /// Waits for a call, and for those of its group that were started before it: moves `clock` on
    /// by what nothing hides of each, which `expose(tag, seconds)` is told. Does nothing for a call
    /// that never started, or ended before one that was waited for.
    template <typename F>
    void finish(std::string_view group, std::uint64_t sequence, double& clock, F const& expose) {
        auto const found = flying_.find(std::string(group));
        if (found == flying_.end()) return;
        auto& calls = found->second;
        auto const is_it = [&](Call const& call) { return call.sequence == sequence; };
        if (std::ranges::none_of(calls, is_it)) return;
        for (bool last = false; !last; calls.pop_front()) {
            Call const& call = calls.front();
            last = is_it(call);
            double& free = free_at_[found->first];
            double const begin = std::max(call.started, free),
                         passed = std::max(0.0, overlap_ * (clock - begin)),
                         exposed = std::max(0.0, call.seconds - passed);
            clock += exposed;
            free = passed > call.seconds ? begin + call.seconds / overlap_ : clock;
            expose(call.tag, exposed);
        }
    }

  private:
    struct Call {
        std::uint64_t sequence;
        double started, seconds;
        Tag tag;
    };
    double overlap_;
    std::map<std::string, std::deque<Call>> flying_; ///< by group, in the order of starts
    std::map<std::string, double> free_at_;          ///< when the last call of each group ends
};

} // namespace trireme::framework::planning
