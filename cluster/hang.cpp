// Chains of ranks that wait for each other, and who is at their end.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "cluster/counted.hpp"
#include "cluster/flight_calls.hpp"

namespace trireme::cluster {

namespace {

/// Finds what each rank of the world waits for.
class Waits {
  public:
    Waits(Flights const& flights, std::vector<bool> const& silent)
        : flights_(flights), silent_(silent), groups_(groups_of(flights)) {
        for (std::size_t r = 0; r < flights.size(); ++r)
            if (flights[r]) find_wait(static_cast<int>(r));
    }

    bool any() const { return !waits_.empty(); }
    bool is_silent(int rank) const {
        return silent_[static_cast<std::size_t>(rank)] || !flights_[static_cast<std::size_t>(rank)];
    }
    struct Wait {
        FlightCall const* call;
        std::string group;
        std::vector<int> missing; ///< world ranks that have not entered
        std::vector<int> members;
    };
    /// Returns what the rank waits for, or null if it waits for nobody.
    Wait const* wait_of(int rank) const {
        auto const found = waits_.find(rank);
        return found == waits_.end() ? nullptr : &found->second;
    }
    std::map<int, Wait> const& all() const { return waits_; }

  private:
    struct Place {
        FlightGroup const* group = nullptr;
        FlightCall const* call = nullptr;
    };

    /// Returns the oldest call that the rank waits for, without a call if there is none.
    static Place oldest_wait(Flight const& flight) {
        Place oldest;
        for (auto const& g : flight.groups)
            for (auto const* c : calls_in_order(g))
                if (c->state == CallState::waited_for &&
                    (!oldest.call || c->start < oldest.call->start))
                    oldest = {&g, c};
        return oldest;
    }

    void find_wait(int rank) {
        auto const [group, call] = oldest_wait(*flights_[static_cast<std::size_t>(rank)]);
        if (!call) return;
        Wait wait{call, group->name.data(), {}, {}};
        bool const exchange = call->op == Collective::exchange;
        if (exchange && call->peer >= 0 && !has_met(call->peer, rank, *call, *group))
            wait.missing = {call->peer};
        add_members(wait, *group);
        add_unknown_members(wait, *group);
        // All entered it, but a rank that is stopped or dead since does not do its part.
        if (wait.missing.empty())
            for (int const r : exchange ? std::vector{call->peer} : wait.members)
                if (r >= 0 && is_silent(r)) wait.missing.push_back(r);
        waits_.emplace(rank, std::move(wait));
    }

    /// Lists the members of the group that are on record; those that have not entered the call are
    /// missing.
    void add_members(Wait& wait, FlightGroup const& group) const {
        auto const found = groups_.find({group.name.data(), group.leader, group.generation});
        if (found == groups_.end()) return;
        for (auto const& m : found->second) {
            wait.members.push_back(m.rank);
            if (wait.call->op != Collective::exchange && m.group->ordinals <= wait.call->ordinal)
                wait.missing.push_back(m.rank);
        }
    }

    /// Counts members as missing that left no record, or do not know of the group yet: only the
    /// world's are known by number.
    void add_unknown_members(Wait& wait, FlightGroup const& group) const {
        if (wait.call->op == Collective::exchange) return;
        if (static_cast<int>(wait.members.size()) >= group.size) return;
        for (int r = 0; r < static_cast<int>(flights_.size()); ++r)
            if (!flights_[static_cast<std::size_t>(r)]) wait.missing.push_back(r);
    }

    /// Tells whether `peer` has made the other half of a message of `rank`. A receive counts once
    /// it is waited for: stages post it before they compute what comes before it.
    bool has_met(int peer, int rank, FlightCall const& call, FlightGroup const& group) const {
        auto const& flight = flights_[static_cast<std::size_t>(peer)];
        if (!flight) return false;
        for (auto const& g : flight->groups) {
            if (std::string_view(g.name.data()) != group.name.data() ||
                g.generation != group.generation)
                continue;
            for (auto const* c : calls_in_order(g))
                if (c->op == Collective::exchange && c->peer == rank && c->kind != call.kind &&
                    c->ordinal >= call.ordinal &&
                    (c->kind == Message::Kind::send || c->state != CallState::started))
                    return true;
        }
        return false;
    }

    Flights const& flights_;
    std::vector<bool> const& silent_;
    Groups groups_;
    std::map<int, Wait> waits_;
};

/// The ends of the chains that begin at waiting ranks.
struct Roots {
    std::vector<int> guilty, circle;
};
/// Follows chains of waiting ranks to their ends.
class Search {
  public:
    explicit Search(Waits const& waits) : waits_(waits) {}

    void visit(int rank) {
        if (auto const again = std::ranges::find(path_, rank); again != path_.end()) {
            circle_.insert(again, path_.end());
            return;
        }
        auto const* wait = waits_.wait_of(rank);
        if (waits_.is_silent(rank) || !wait) {
            guilty_.insert(rank);
            return;
        }
        if (!seen_.insert(rank).second) return;
        path_.push_back(rank);
        for (int const next : wait->missing) visit(next);
        path_.pop_back();
    }
    Roots roots() const {
        return {{guilty_.begin(), guilty_.end()}, {circle_.begin(), circle_.end()}};
    }

  private:
    Waits const& waits_;
    std::set<int> guilty_, seen_, circle_;
    std::vector<int> path_; ///< from the rank that the search began at
};

Roots follow(Waits const& waits) {
    Search search(waits);
    for (auto const& [rank, wait] : waits.all())
        if (!waits.is_silent(rank)) search.visit(rank);
    return search.roots();
}

/// Returns those of a circle whose last call never came after the one before it until now: what a
/// program does every step it is likely to do right.
std::vector<int> out_of_habit(Flights const& flights, std::vector<int> const& circle) {
    std::vector<int> odd;
    for (int const r : circle) {
        std::vector<std::pair<std::int64_t, std::string>> calls;
        for (auto const& g : flights[static_cast<std::size_t>(r)]->groups)
            for (auto const* c : calls_in_order(g))
                calls.emplace_back(c->start, std::string(g.name.data()) + signature(*c));
        std::ranges::sort(calls);
        bool seen = false;
        for (std::size_t i = 0; i + 2 < calls.size(); ++i)
            seen |= calls[i].second == calls[calls.size() - 2].second &&
                    calls[i + 1].second == calls.back().second;
        if (!seen) odd.push_back(r);
    }
    return odd;
}

/// Names the most direct of those that wait: "; rank 0@a, rank 2@c waited for it in all_reduce #4
/// 'x' in group data".
std::string waiters_text(Flights const& flights, Waits const& waits,
                         std::vector<int> const& guilty) {
    std::vector<int> ranks;
    Waits::Wait const* shown = nullptr;
    for (auto const& [rank, wait] : waits.all()) {
        bool const direct = std::ranges::any_of(
            wait.missing, [&](int m) { return std::ranges::find(guilty, m) != guilty.end(); });
        if (!direct || std::ranges::find(guilty, rank) != guilty.end()) continue;
        if (!shown) shown = &wait;
        if (wait.call->ordinal == shown->call->ordinal && wait.group == shown->group)
            ranks.push_back(rank);
    }
    if (!shown) return "";
    return fmt::format("; {} waited for it in {}", ranks_text(flights, ranks),
                       call_text(*shown->call, shown->group));
}

std::string state_of(Flights const& flights, Waits const& waits, int rank) {
    auto const& flight = flights[static_cast<std::size_t>(rank)];
    if (!flight) return fmt::format("{} does not answer and left no record", who(flights, rank));
    return fmt::format("{} {}: {}", who(flights, rank),
                       waits.is_silent(rank) ? "does not answer (dead, stopped or cut off)"
                                             : "does not come",
                       where(*flight));
}

Verdict guilty_of(Flights const& flights, Waits const& waits, std::vector<int> const& guilty) {
    std::string line;
    for (std::size_t i = 0; i < guilty.size() && i < 4; ++i)
        line += (i ? "; " : "") + state_of(flights, waits, guilty[i]);
    if (guilty.size() > 4) line += "; and " + counted(guilty.size() - 4, "rank") + " more";
    return {guilty, line + waiters_text(flights, waits, guilty)};
}

Verdict circle_of(Flights const& flights, Waits const& waits, std::vector<int> const& circle) {
    std::string line = fmt::format("{} wait for each other", ranks_text(flights, circle));
    for (int const r : circle)
        line += fmt::format("; {} in {}", who(flights, r),
                            call_text(*waits.wait_of(r)->call, waits.wait_of(r)->group));
    auto const odd = out_of_habit(flights, circle);
    if (odd.empty() || odd.size() == circle.size()) return {circle, line};
    return {odd, fmt::format("{} left its usual order of calls: {}; {}", ranks_text(flights, odd),
                             where(*flights[static_cast<std::size_t>(odd.front())]), line)};
}

} // namespace

std::optional<Verdict> find_hang(Flights const& flights, std::vector<bool> const& silent) {
    Waits const waits(flights, silent);
    if (!waits.any()) return std::nullopt;
    Roots const roots = follow(waits);
    if (!roots.guilty.empty()) return guilty_of(flights, waits, roots.guilty);
    if (!roots.circle.empty()) return circle_of(flights, waits, roots.circle);
    auto const& wait = waits.all().begin()->second;
    return Verdict{
        {},
        fmt::format(
            "{} does not end though every member has entered it ({}): is the network between them "
            "whole?",
            call_text(*wait.call, wait.group), ranks_text(flights, wait.members))};
}

} // namespace trireme::cluster
