#include "cluster/flight.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "cluster/listing.hpp"

namespace trireme::cluster {

namespace {

constexpr std::int64_t kMostBytes = 1 << 20; ///< most bytes of a record: ten times what one has

}

std::string flight_file(std::string const& run_folder, int rank) {
    return fmt::format("{}/flight/rank-{:05}", run_folder, rank);
}

std::string to_bytes(Flight const& flight) {
    std::string bytes(reinterpret_cast<char const*>(&flight.header), sizeof flight.header);
    return bytes.append(reinterpret_cast<char const*>(flight.groups.data()),
                        flight.groups.size() * sizeof(FlightGroup));
}

static void close_texts(Flight& flight) {
    // Texts of a file that anybody may have written end where their field ends.
    auto const close = [](auto& text) { text.back() = 0; };
    close(flight.header.host), close(flight.header.phase), close(flight.header.error);
    for (auto& group : flight.groups) {
        close(group.name);
        for (auto& call : group.ring) {
            close(call.name);
            call.op = std::min(call.op, Collective::split);
            call.dtype = std::min(call.dtype, DType::f64);
        }
    }
}

namespace {

void check_header(FlightHeader const& h, auto const& refuse) {
    if (h.magic != kFlightMagic) refuse("no flight record");
    if (h.version != kFlightVersion) refuse(fmt::format("version {}", h.version));
    if (h.size < 1 || h.size > kFlightRanks || h.rank < 0 || h.rank >= h.size)
        refuse(fmt::format("rank {} of {} ranks", h.rank, h.size));
}

} // namespace

Flight flight_from_bytes(std::string_view bytes, std::string const& name) {
    Flight flight{};
    auto const refuse = [&](std::string const& what) {
        throw InputError(fmt::format("{}: {}; legal: a flight record of version {}", name, what,
                                     kFlightVersion));
    };
    if (bytes.size() < sizeof flight.header) refuse(fmt::format("{} bytes", bytes.size()));
    std::memcpy(&flight.header, bytes.data(), sizeof flight.header);
    check_header(flight.header, refuse);
    bytes.remove_prefix(sizeof flight.header);
    std::size_t const groups = flight.header.groups;
    if (groups > kFlightGroups || bytes.size() < groups * sizeof(FlightGroup))
        refuse(fmt::format("{} groups in {} bytes", groups, bytes.size()));
    flight.groups.resize(groups);
    if (groups > 0) std::memcpy(flight.groups.data(), bytes.data(), groups * sizeof(FlightGroup));
    close_texts(flight);
    return flight;
}

std::optional<Flight> read_flight(std::string const& run_folder, int rank) noexcept try {
    if (run_folder.empty()) return std::nullopt;
    std::string const path = flight_file(run_folder, rank);
    return flight_from_bytes(read_file(path, kMostBytes), path);
} catch (std::exception const&) {
    return std::nullopt;
}

std::vector<Flight> read_flights(std::string const& run_folder) {
    std::vector<Flight> flights;
    std::string const folder = run_folder + "/flight/";
    for (auto const& name : list_folder(folder))
        if (name.starts_with("rank-"))
            flights.push_back(
                flight_from_bytes(read_file(folder + name, kMostBytes), folder + name));
    std::ranges::sort(flights, {}, [](Flight const& f) { return f.header.rank; });
    // Ranks of an earlier, larger job may have left theirs.
    std::int64_t last = 0;
    for (auto const& f : flights) last = std::max(last, f.header.job);
    std::erase_if(flights, [&](Flight const& f) { return f.header.job != last; });
    return flights;
}

} // namespace trireme::cluster
