#include "cluster/verdict.hpp"
#include "cluster/counted.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

namespace trireme::cluster {

namespace {

/// A group as all its members know it: its name, its first member, which of its name it is.
using GroupKey = std::tuple<std::string, int, std::uint64_t>;

struct Member {
    int rank; ///< in the world
    FlightGroup const* group;
};
using Groups = std::map<GroupKey, std::vector<Member>>;

Groups groups_of(Flights const& flights) {
    Groups groups;
    for (std::size_t r = 0; r < flights.size(); ++r)
        if (flights[r])
            for (auto const& g : flights[r]->groups)
                if (g.leader >= 0 && g.size > 1)
                    groups[{g.name.data(), g.leader, g.generation}].push_back(
                        {static_cast<int>(r), &g});
    return groups;
}

std::vector<FlightCall const*> calls_in_order(FlightGroup const& group) {
    std::vector<FlightCall const*> calls;
    std::uint64_t const kept = std::min<std::uint64_t>(group.calls, kFlightCalls);
    for (std::uint64_t i = group.calls - kept; i < group.calls; ++i)
        if (auto const& c = group.ring[i % kFlightCalls]; c.state != CallState::none)
            calls.push_back(&c);
    return calls;
}

/// The calls that all members enter, by their place.
std::map<std::uint64_t, FlightCall const*> ordered(FlightGroup const& group) {
    std::map<std::uint64_t, FlightCall const*> calls;
    for (auto const* c : calls_in_order(group))
        if (c->op != Collective::exchange && c->ordinal < group.ordinals) calls[c->ordinal] = c;
    return calls;
}

/// As far as it must be the same on all members.
std::string signature(FlightCall const& c) {
    if (c.op == Collective::split) return name_of(c.op);
    std::string const counts = c.op == Collective::all_to_all ? "" : fmt::format(" of {}", c.count);
    return fmt::format("{}{} {} '{}'", name_of(c.op), counts, name_of(c.dtype), c.name.data());
}

std::string ranks_text(Flights const& flights, std::vector<int> const& ranks) {
    constexpr std::size_t kMost = 8;
    std::vector<std::string> names;
    for (int const r : ranks)
        if (names.size() < kMost) names.push_back(who(flights, r));
    std::string const more =
        ranks.size() > kMost ? fmt::format(" and {} more", ranks.size() - kMost) : "";
    return fmt::format("{}{}", fmt::join(names, ", "), more);
}

std::string call_text(FlightCall const& c, std::string_view group) {
    return fmt::format("{} #{} '{}' in group {}", name_of(c.op), c.sequence, c.name.data(), group);
}

// Mismatch
// ------------------------------------------------------------------------------------------
/// Whether `call` has come after `before` earlier among `calls`: what repeats every step is likely
/// to be right.
bool seen_before(std::map<std::uint64_t, FlightCall const*> const& calls, std::uint64_t at) {
    auto const here = calls.find(at);
    auto const former = calls.find(at - 1);
    if (here == calls.end() || at == 0 || former == calls.end()) return false;
    for (auto const& [o, c] : calls)
        if (o < at - 1 && signature(*c) == signature(*former->second))
            if (auto const next = calls.find(o + 1);
                next != calls.end() && next->first < at &&
                signature(*next->second) == signature(*here->second))
                return true;
    return false;
}

/// Whether a call like `second` ever came right after one like `first`.
bool follows(std::map<std::uint64_t, FlightCall const*> const& calls, FlightCall const& first,
             FlightCall const& second) {
    return std::ranges::any_of(calls, [&](auto const& entry) {
        auto const next = calls.find(entry.first + 1);
        return next != calls.end() && signature(*entry.second) == signature(first) &&
               signature(*next->second) == signature(second);
    });
}

struct Odd {
    std::vector<int> ranks;                ///< those to blame, or all of them
    std::size_t example = 0, majority = 0; ///< members that did the odd thing, and the right one
};

/// Which of the members are the odd ones at `at`.
Odd odd_ones(std::vector<Member> const& members,
             std::vector<std::map<std::uint64_t, FlightCall const*>> const& calls,
             std::uint64_t at) {
    std::map<std::string, std::vector<std::size_t>> camps;
    for (std::size_t m = 0; m < members.size(); ++m)
        camps[signature(*calls[m].at(at))].push_back(m);
    auto const size = [](auto const& camp) { return camp.second.size(); };
    auto const largest = std::ranges::max_element(camps, {}, size);
    bool const tie = std::ranges::count(camps, largest->second.size(), size) > 1;
    auto right = largest;
    if (tie) // the one whose call follows the same call as a step before
        for (auto camp = camps.begin(); camp != camps.end(); ++camp)
            if (seen_before(calls[camp->second.front()], at)) right = camp;
    bool const known = !tie || seen_before(calls[right->second.front()], at);
    Odd odd;
    odd.majority = right->second.front();
    for (auto const& [text, camp] : camps)
        if (&camp != &right->second || !known)
            for (std::size_t const m : camp) {
                odd.ranks.push_back(members[m].rank);
                if (&camp != &right->second) odd.example = m;
            }
    std::ranges::sort(odd.ranks);
    return odd;
}

std::optional<Verdict> mismatch_in(Flights const& flights, std::string const& name,
                                   std::vector<Member> const& members) {
    std::vector<std::map<std::uint64_t, FlightCall const*>> calls;
    for (auto const& m : members) calls.push_back(ordered(*m.group));
    for (auto const& [at, first] : calls.front()) {
        if (!std::ranges::all_of(calls, [&](auto const& c) { return c.contains(at); })) continue;
        if (std::ranges::all_of(
                calls, [&](auto const& c) { return signature(*c.at(at)) == signature(*first); }))
            continue;
        Odd const odd = odd_ones(members, calls, at);
        auto const& wrong = calls[odd.example];
        auto const& right = calls[odd.majority];
        std::string const expected = signature(*right.at(at));
        bool const left_out = follows(right, *right.at(at), *wrong.at(at));
        int const example = members[odd.example].rank;
        return Verdict{
            odd.ranks,
            fmt::format("ranks disagree on call {} of group {}: {} called {} where {} called {}{}; "
                        "{} was in {}",
                        at, name, who(flights, example), signature(*wrong.at(at)),
                        who(flights, members[odd.majority].rank), expected,
                        left_out ? fmt::format(" (which {} left out)", who(flights, example)) : "",
                        who(flights, example), where(*flights[static_cast<std::size_t>(example)]))};
    }
    return std::nullopt;
}

// Hang
// ------------------------------------------------------------------------------------------
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
    /// Null: it waits for nobody.
    Wait const* wait_of(int rank) const {
        auto const found = waits_.find(rank);
        return found == waits_.end() ? nullptr : &found->second;
    }
    std::map<int, Wait> const& all() const { return waits_; }

  private:
    void find_wait(int rank) {
        Flight const& flight = *flights_[static_cast<std::size_t>(rank)];
        FlightCall const* oldest = nullptr;
        FlightGroup const* group = nullptr;
        for (auto const& g : flight.groups)
            for (auto const* c : calls_in_order(g))
                if (c->state == CallState::waited_for && (!oldest || c->start < oldest->start)) {
                    oldest = c;
                    group = &g;
                }
        if (!oldest) return;
        Wait wait{oldest, group->name.data(), {}, {}};
        auto const found = groups_.find({group->name.data(), group->leader, group->generation});
        bool const exchange = oldest->op == Collective::exchange;
        if (exchange && oldest->peer >= 0 && !has_met(oldest->peer, rank, *oldest, *group))
            wait.missing = {oldest->peer};
        if (found != groups_.end())
            for (auto const& m : found->second) {
                wait.members.push_back(m.rank);
                if (!exchange && m.group->ordinals <= oldest->ordinal)
                    wait.missing.push_back(m.rank);
            }
        add_unknown_members(wait, *group);
        // all entered it, but who is stopped or dead since does not do its part
        if (wait.missing.empty())
            for (int const r : exchange ? std::vector{oldest->peer} : wait.members)
                if (r >= 0 && is_silent(r)) wait.missing.push_back(r);
        waits_.emplace(rank, std::move(wait));
    }

    /// Members that left no record, or do not know of the group yet: only the world's are known by
    /// number.
    void add_unknown_members(Wait& wait, FlightGroup const& group) const {
        if (wait.call->op == Collective::exchange) return;
        if (static_cast<int>(wait.members.size()) >= group.size) return;
        for (int r = 0; r < static_cast<int>(flights_.size()); ++r)
            if (!flights_[static_cast<std::size_t>(r)]) wait.missing.push_back(r);
    }

    /// Whether `peer` has made the other half of a message of `rank`.
    bool has_met(int peer, int rank, FlightCall const& call, FlightGroup const& group) const {
        auto const& flight = flights_[static_cast<std::size_t>(peer)];
        if (!flight) return false;
        for (auto const& g : flight->groups) {
            if (std::string_view(g.name.data()) != group.name.data() ||
                g.generation != group.generation)
                continue;
            for (auto const* c : calls_in_order(g))
                if (c->op == Collective::exchange && c->peer == rank && c->kind != call.kind &&
                    c->ordinal >= call.ordinal)
                    return true;
        }
        return false;
    }

    Flights const& flights_;
    std::vector<bool> const& silent_;
    Groups groups_;
    std::map<int, Wait> waits_;
};

/// Where the chains that begin at waiting ranks end.
struct Roots {
    std::vector<int> guilty, circle;
};
Roots follow(Waits const& waits) {
    std::set<int> guilty, seen;
    std::vector<int> path;
    std::set<int> circle;
    auto const visit = [&](auto const& self, int rank) -> void {
        if (auto const again = std::ranges::find(path, rank); again != path.end()) {
            circle.insert(again, path.end());
            return;
        }
        auto const* wait = waits.wait_of(rank);
        if (waits.is_silent(rank) || !wait) {
            guilty.insert(rank);
            return;
        }
        if (!seen.insert(rank).second) return;
        path.push_back(rank);
        for (int const next : wait->missing) self(self, next);
        path.pop_back();
    };
    for (auto const& [rank, wait] : waits.all())
        if (!waits.is_silent(rank)) visit(visit, rank);
    return {{guilty.begin(), guilty.end()}, {circle.begin(), circle.end()}};
}

/// Of ranks that wait for each other, those whose last call never came after the one before it
/// until now: what a program does every step it is likely to do right.
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

/// "rank 0@a, rank 2@c waited for it in all_reduce #4 'x' in group data": the most direct of those
/// that wait.
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

// Death
// ------------------------------------------------------------------------------------------
std::vector<int> select(Flights const& flights, auto const& predicate) {
    std::vector<int> ranks;
    for (std::size_t r = 0; r < flights.size(); ++r)
        if (predicate(flights[r])) ranks.push_back(static_cast<int>(r));
    return ranks;
}

} // namespace

std::string who(Flights const& flights, int rank) {
    auto const& flight = flights[static_cast<std::size_t>(rank)];
    return flight ? fmt::format("rank {}@{}", rank, flight->header.host.data())
                  : fmt::format("rank {}", rank);
}

std::string where(Flight const& flight) {
    FlightCall const* last = nullptr;
    FlightGroup const* group = nullptr;
    for (auto const& g : flight.groups)
        for (auto const* c : calls_in_order(g))
            if (!last || c->start >= last->start) {
                last = c;
                group = &g;
            }
    auto const& h = flight.header;
    std::string text = fmt::format("phase {}", h.phase.data());
    if (h.step >= 0) text += fmt::format(" of step {}", h.step);
    if (last)
        text += fmt::format(", last call {} ({})", call_text(*last, group->name.data()),
                            last->state == CallState::finished ? "finished" : "not finished");
    return text;
}

std::optional<Verdict> find_mismatch(Flights const& flights) {
    for (auto const& [key, members] : groups_of(flights))
        if (members.size() > 1)
            if (auto found = mismatch_in(flights, std::get<0>(key), members)) return found;
    return std::nullopt;
}

std::optional<Verdict> find_hang(Flights const& flights, std::vector<bool> const& silent) {
    Waits const waits(flights, silent);
    if (!waits.any()) return std::nullopt;
    Roots const roots = follow(waits);
    if (!roots.guilty.empty()) {
        std::string line;
        for (std::size_t i = 0; i < roots.guilty.size() && i < 4; ++i)
            line += (i ? "; " : "") + state_of(flights, waits, roots.guilty[i]);
        if (roots.guilty.size() > 4)
            line += "; and " + counted(roots.guilty.size() - 4, "rank") + " more";
        return Verdict{roots.guilty, line + waiters_text(flights, waits, roots.guilty)};
    }
    if (!roots.circle.empty()) {
        std::string line = fmt::format("{} wait for each other", ranks_text(flights, roots.circle));
        for (int const r : roots.circle)
            line += fmt::format("; {} in {}", who(flights, r),
                                call_text(*waits.wait_of(r)->call, waits.wait_of(r)->group));
        auto const odd = out_of_habit(flights, roots.circle);
        if (odd.empty() || odd.size() == roots.circle.size()) return Verdict{roots.circle, line};
        return Verdict{
            odd, fmt::format("{} left its usual order of calls: {}; {}", ranks_text(flights, odd),
                             where(*flights[static_cast<std::size_t>(odd.front())]), line)};
    }
    auto const& wait = waits.all().begin()->second;
    return Verdict{
        {},
        fmt::format(
            "{} does not end though every member has entered it ({}): is the network between them "
            "whole?",
            call_text(*wait.call, wait.group), ranks_text(flights, wait.members))};
}

std::optional<Verdict> find_death(Flights const& flights) {
    auto const failed =
        select(flights, [](auto const& f) { return f && f->header.end == FlightEnd::failed; });
    auto const died = select(flights, [](auto const& f) {
        return !f || (f->header.end == FlightEnd::running && f->header.asked_to_end == 0);
    });
    auto const told = select(flights, [](auto const& f) {
        return f && f->header.end == FlightEnd::running && f->header.asked_to_end != 0;
    });
    if (!failed.empty()) { // the first of them: what others say may follow from it
        auto const first = *std::ranges::min_element(failed, {}, [&](int r) {
            return flights[static_cast<std::size_t>(r)]->header.heartbeat;
        });
        auto const& f = *flights[static_cast<std::size_t>(first)];
        return Verdict{{first},
                       fmt::format("{} failed: {} ({})", who(flights, first), f.header.error.data(),
                                   where(f))};
    }
    if (died.empty() && told.empty()) return std::nullopt;
    if (died.empty() || (died.size() == flights.size() && died.size() > 1))
        return Verdict{
            {},
            fmt::format(
                "all {} ranks ended without a word of their own{}: time limit, node or launcher "
                "killed; rank 0 was in {}",
                flights.size(), died.empty() ? " after SIGTERM" : "",
                flights[0] ? where(*flights[0]) : "a place unknown")};
    std::string line;
    for (std::size_t i = 0; i < died.size() && i < 4; ++i) {
        auto const& f = flights[static_cast<std::size_t>(died[i])];
        line += fmt::format("{}{} died without a word: {}", i ? "; " : "", who(flights, died[i]),
                            f ? where(*f) : "it left no record");
    }
    if (died.size() > 4) line += "; and " + counted(died.size() - 4, "rank") + " more";
    return Verdict{died, line};
}

} // namespace trireme::cluster
