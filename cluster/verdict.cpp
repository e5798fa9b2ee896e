#include "cluster/verdict.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "cluster/counted.hpp"

namespace trireme::cluster {

namespace {

std::vector<int> select(Flights const& flights, auto const& predicate) {
    std::vector<int> ranks;
    for (std::size_t r = 0; r < flights.size(); ++r)
        if (predicate(flights[r])) ranks.push_back(static_cast<int>(r));
    return ranks;
}

Verdict all_died(Flights const& flights, bool told) {
    return {{},
            fmt::format(
                "all {} ranks ended without a word of their own{}: time limit, node or launcher "
                "killed; rank 0 was in {}",
                flights.size(), told ? " after SIGTERM" : "",
                flights[0] ? where(*flights[0]) : "a place unknown")};
}

Verdict some_died(Flights const& flights, std::vector<int> const& died) {
    std::string line;
    for (std::size_t i = 0; i < died.size() && i < 4; ++i) {
        auto const& f = flights[static_cast<std::size_t>(died[i])];
        line += fmt::format("{}{} died without a word: {}", i ? "; " : "", who(flights, died[i]),
                            f ? where(*f) : "it left no record");
    }
    if (died.size() > 4) line += "; and " + counted(died.size() - 4, "rank") + " more";
    return {died, line};
}

/// Blames the first of the ranks that failed: what others say may follow from it.
Verdict first_failure(Flights const& flights, std::vector<int> const& failed) {
    auto const first = *std::ranges::min_element(
        failed, {}, [&](int r) { return flights[static_cast<std::size_t>(r)]->header.heartbeat; });
    auto const& f = *flights[static_cast<std::size_t>(first)];
    return {
        {first},
        fmt::format("{} failed: {} ({})", who(flights, first), f.header.error.data(), where(f))};
}

} // namespace

std::optional<Verdict> find_death(Flights const& flights) {
    auto const failed =
        select(flights, [](auto const& f) { return f && f->header.end == FlightEnd::failed; });
    auto const died = select(flights, [](auto const& f) {
        return !f || (f->header.end == FlightEnd::running && f->header.asked_to_end == 0);
    });
    auto const told = select(flights, [](auto const& f) {
        return f && f->header.end == FlightEnd::running && f->header.asked_to_end != 0;
    });
    if (!failed.empty()) return first_failure(flights, failed);
    if (died.empty() && told.empty()) return std::nullopt;
    if (died.empty() || (died.size() == flights.size() && died.size() > 1))
        return all_died(flights, died.empty());
    return some_died(flights, died);
}

} // namespace trireme::cluster
