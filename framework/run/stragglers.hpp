// Finds which rank is slow, and in which phase: compares each rank's own time by phase of a step,
// without its waiting for others.
#pragma once
#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "cluster/communicator.hpp"

namespace trireme::framework::run {

enum class Phase : std::uint8_t { load, compute, norm, update };
inline constexpr std::size_t kPhases = 4;
char const* name_of(Phase phase);

/// Seconds of this rank's own work in each phase. Local.
class PhaseClock {
  public:
    void enter(Phase phase); ///< ends the one before
    void leave();
    std::array<double, kPhases> take(); ///< since the last call

  private:
    std::array<double, kPhases> own_{};
    std::optional<Phase> phase_;
    std::chrono::steady_clock::time_point start_;
    double waited_ = 0;
};

struct RankTimes {
    int slowest = 0; ///< rank of the world
    std::string host;
    /// seconds by phase; the median is over all ranks
    std::array<double, kPhases> slowest_seconds{}, median_seconds{};
    double ratio = 1; ///< own time of the slowest to the median of the others
    Phase phase{};    ///< phase in which it loses most
};
/// Collective over `world`; the same on every rank.
RankTimes gather_times(cluster::Communicator& world, std::array<double, kPhases> const& own);

/// A rank this many times slower than the median of the others is named to the user.
inline constexpr double kStraggles = 2;

} // namespace trireme::framework::run
