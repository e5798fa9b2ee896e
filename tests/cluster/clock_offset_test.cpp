// Clocks that were set wrong on purpose are found to be so, within the error that is stated.
#include "cluster/clock_offset.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <vector>

#include "cluster/thread_communicator.hpp"

namespace trireme::cluster {
namespace {

/// Set ahead by seconds, and running fast or slow by a share.
struct WrongClock {
    double ahead, drift;
    std::int64_t begun = steady_nanoseconds();
    std::int64_t operator()() const {
        std::int64_t const now = steady_nanoseconds();
        return now +
               static_cast<std::int64_t>(ahead * 1e9 + drift * static_cast<double>(now - begun));
    }
};

constexpr std::array kAhead{0.0, 3.5, -1e4, 2e-3};

TEST(ClockOffset, IsThatByWhichEachClockWasSetWrong) {
    std::array<ClockOffset, 4> found;
    run_as_threads(4, [&](Communicator& world) {
        auto const rank = static_cast<std::size_t>(world.rank());
        found[rank] = measure_clock_offset(world, 24, WrongClock{kAhead[rank], 0});
    });
    EXPECT_EQ(found[0].offset, 0);
    EXPECT_EQ(found[0].error, 0);
    for (std::size_t rank = 1; rank < 4; ++rank) {
        double const wrong = static_cast<double>(found[rank].offset) + kAhead[rank] * 1e9;
        EXPECT_LE(std::abs(wrong), static_cast<double>(found[rank].error) + 2) << rank;
        EXPECT_LT(found[rank].error, 20'000'000) << "a message among threads takes no 40 ms";
    }
}

TEST(ClockOffset, TwoMeasurementsFollowAClockThatRunsFast) {
    // Ten thousand times that of a quartz: more than what loaded cores add to a measurement.
    constexpr double kDrift = 1e-2;
    std::vector<std::array<ClockOffset, 2>> found(2);
    std::array<std::int64_t, 2> between{};
    run_as_threads(2, [&](Communicator& world) {
        auto const rank = static_cast<std::size_t>(world.rank());
        WrongClock const clock{rank ? 0.25 : 0.0, rank ? kDrift : 0.0};
        auto& mine = found[rank];
        mine[0] = measure_clock_offset(world, 24, clock);
        while (rank == 1 && clock() < mine[0].local + 50'000'000) {
        }
        if (rank == 1) between = {clock(), steady_nanoseconds()};
        while (rank == 1 && clock() < mine[0].local + 100'000'000) {
        }
        mine[1] = measure_clock_offset(world, 24, clock);
    });
    auto const& [a, b] = found[1];
    double const share =
        static_cast<double>(between[0] - a.local) / static_cast<double>(b.local - a.local);
    double const offset =
        static_cast<double>(a.offset) + share * static_cast<double>(b.offset - a.offset);
    double const wrong = static_cast<double>(between[0]) + offset - static_cast<double>(between[1]);
    EXPECT_LE(std::abs(wrong), static_cast<double>(std::max(a.error, b.error)) + 1000);
    EXPECT_GT(std::abs(static_cast<double>(b.offset - a.offset)), 500'000)
        << "or nothing was followed";
}

TEST(ClockOffset, OneRankIsItsOwnClock) {
    run_as_threads(1, [](Communicator& world) { EXPECT_EQ(measure_clock_offset(world).error, 0); });
}

} // namespace
} // namespace trireme::cluster
