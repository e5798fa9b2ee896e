#include "cluster/flight_calls.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace trireme::cluster {

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

} // namespace trireme::cluster
