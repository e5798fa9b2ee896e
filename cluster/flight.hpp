// Layout of the flight record of a rank, in RUN/flight/rank-NNNNN and on the wire: one block
// of fixed size.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/communicator.hpp"

namespace trireme::cluster {

inline constexpr std::size_t kFlightCalls = 64;  ///< last calls kept of each group
inline constexpr std::size_t kFlightGroups = 16; ///< groups kept; calls of others are not recorded
inline constexpr std::uint32_t kFlightVersion = 1;
/// files have five digits; room is made for as many as one says
inline constexpr std::int32_t kFlightRanks = 100'000;
inline constexpr std::array<char, 8> kFlightMagic{'t', 'r', 'f', 'l', 'i', 'g', 'h', 't'};

enum class CallState : std::uint8_t { none, started, waited_for, finished };
enum class FlightEnd : std::int32_t { running, well, failed };

/// Times are nanoseconds of the system clock; texts end with a zero and are cut to fit.
struct FlightCall {
    std::uint64_t sequence; ///< as the communicator counts
    std::uint64_t
        ordinal; ///< among the calls that every member of the group enters (all but exchanges); of
                 ///< an exchange: among the messages of its kind with `peer`
    std::int64_t start, finish;
    std::uint64_t count;
    std::int32_t peer; ///< world rank of the first message of an exchange; -1: none, or not known
    Collective op;
    DType dtype;
    Message::Kind kind; ///< kind of that message
    CallState state;
    std::array<char, 48> name;
};

struct FlightGroup {
    std::array<char, 40> name;
    /// world ranks of the first and the next member; -1: not known
    std::int32_t leader, size, rank, next;
    /// groups of this name made so far; ordinals count from the last
    std::uint64_t generation;
    std::uint64_t calls, ordinals; ///< so far
    std::array<FlightCall, kFlightCalls> ring;
};

struct FlightHeader {
    std::array<char, 8> magic;
    std::uint32_t version, groups;
    std::int32_t rank, size;
    std::int64_t job; ///< one number for all ranks of a job: when its first rank began
    std::int64_t process, started, heartbeat;
    std::int64_t step, phase_since;
    FlightEnd end;
    std::int32_t exit_code;
    std::int64_t asked_to_end; ///< when SIGTERM came; 0: never
    std::array<char, 64> host;
    std::array<char, 48> phase;
    std::array<char, 512> error; ///< error that ended it
};

/// One rank's record, as read from a file or received.
struct Flight {
    FlightHeader header;
    std::vector<FlightGroup> groups;
};

/// Bytes of the header and of the groups in use, to be sent.
std::string to_bytes(Flight const& flight);
/// Throws InputError for what is no record of this version.
Flight flight_from_bytes(std::string_view bytes, std::string const& name);
/// RUN/flight/rank-NNNNN
std::string flight_file(std::string const& run_folder, int rank);
/// Reads what a rank that does not answer left in RUN/flight; nothing if it cannot be read.
std::optional<Flight> read_flight(std::string const& run_folder, int rank) noexcept;
/// The records of RUN/flight that belong to its last job, by rank. Nothing if there are none.
std::vector<Flight> read_flights(std::string const& run_folder);

} // namespace trireme::cluster
