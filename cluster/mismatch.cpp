// Members of a group that made different calls at the same place of its order.
#include <fmt/format.h>

#include <algorithm>

#include "cluster/flight_calls.hpp"

namespace trireme::cluster {

namespace {

/// Returns the calls that all members enter, by their place.
std::map<std::uint64_t, FlightCall const*> ordered(FlightGroup const& group) {
    std::map<std::uint64_t, FlightCall const*> calls;
    for (auto const* c : calls_in_order(group))
        if (c->op != Collective::exchange && c->ordinal < group.ordinals) calls[c->ordinal] = c;
    return calls;
}

/// Tells whether the call at `at` and its former one came in that order earlier: what repeats every
/// step is likely to be right.
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

/// Tells whether a call like `second` ever came right after one like `first`.
bool follows(std::map<std::uint64_t, FlightCall const*> const& calls, FlightCall const& first,
             FlightCall const& second) {
    return std::ranges::any_of(calls, [&](auto const& entry) {
        auto const next = calls.find(entry.first + 1);
        return next != calls.end() && signature(*entry.second) == signature(first) &&
               signature(*next->second) == signature(second);
    });
}

/// Members of a group that did otherwise than the others at one place.
struct Odd {
    std::vector<int> ranks;                ///< those to blame, or all of them
    std::size_t example = 0, majority = 0; ///< members that did the odd thing, and the right one
};

using Calls = std::map<std::uint64_t, FlightCall const*>;      // of one member, by their place
using Camps = std::map<std::string, std::vector<std::size_t>>; // members, by what they called

/// Returns the camp that did the right thing, and whether that is known: the largest, or of several
/// as large the one whose call follows the same call as a step before.
std::pair<Camps::const_iterator, bool>
right_camp(Camps const& camps, std::vector<Calls> const& calls, std::uint64_t at) {
    auto const size = [](auto const& camp) { return camp.second.size(); };
    Camps::const_iterator right = std::ranges::max_element(camps, {}, size);
    if (std::ranges::count(camps, right->second.size(), size) == 1) return {right, true};
    for (auto camp = camps.begin(); camp != camps.end(); ++camp)
        if (seen_before(calls[camp->second.front()], at)) right = camp;
    return {right, seen_before(calls[right->second.front()], at)};
}

/// Judges which members are the odd ones at `at`.
Odd odd_ones(std::vector<GroupMember> const& members, std::vector<Calls> const& calls,
             std::uint64_t at) {
    Camps camps;
    for (std::size_t m = 0; m < members.size(); ++m)
        camps[signature(*calls[m].at(at))].push_back(m);
    auto const [right, known] = right_camp(camps, calls, at);
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

/// Returns the first place where all members have a call on record, and not all the same.
std::optional<std::uint64_t> first_disagreement(std::vector<Calls> const& calls) {
    for (auto const& [at, first] : calls.front()) {
        auto const known = [&](Calls const& c) { return c.contains(at); };
        auto const other = [&](Calls const& c) {
            return signature(*c.at(at)) != signature(*first);
        };
        if (std::ranges::all_of(calls, known) && std::ranges::any_of(calls, other)) return at;
    }
    return std::nullopt;
}

std::optional<Verdict> mismatch_in(Flights const& flights, std::string const& name,
                                   std::vector<GroupMember> const& members) {
    std::vector<Calls> calls;
    for (auto const& m : members) calls.push_back(ordered(*m.group));
    auto const at = first_disagreement(calls);
    if (!at) return std::nullopt;
    Odd const odd = odd_ones(members, calls, *at);
    auto const &wrong = *calls[odd.example].at(*at), &right = *calls[odd.majority].at(*at);
    int const example = members[odd.example].rank;
    std::string const name_of_odd = who(flights, example);
    bool const left_out = follows(calls[odd.majority], right, wrong);
    return Verdict{
        odd.ranks,
        fmt::format("ranks disagree on call {} of group {}: {} called {} where {} called {}{}; "
                    "{} was in {}",
                    *at, name, name_of_odd, signature(wrong),
                    who(flights, members[odd.majority].rank), signature(right),
                    left_out ? fmt::format(" (which {} left out)", name_of_odd) : "", name_of_odd,
                    where(*flights[static_cast<std::size_t>(example)]))};
}

} // namespace

std::optional<Verdict> find_mismatch(Flights const& flights) {
    for (auto const& [key, members] : groups_of(flights))
        if (members.size() > 1)
            if (auto found = mismatch_in(flights, std::get<0>(key), members)) return found;
    return std::nullopt;
}

} // namespace trireme::cluster
