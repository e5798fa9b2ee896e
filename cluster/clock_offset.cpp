#include "cluster/clock_offset.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <limits>

namespace trireme::cluster {

namespace {

using ReadClock = std::function<std::int64_t()>;
using Times = std::array<std::int64_t, 2>; ///< of rank 0: a message came, and went back

void exchange_times(Communicator& world, Message::Kind kind, int peer, Times& times) {
    Message const message{kind, peer, {times.data(), times.size(), DType::i64}};
    world.exchange({&message, 1}, "clock").wait();
}

void answer(Communicator& world, int peer, int rounds, ReadClock const& clock) {
    for (int i = 0; i < rounds; ++i) {
        Times times{};
        exchange_times(world, Message::Kind::receive, peer, times);
        times[0] = clock();
        times[1] = clock();
        exchange_times(world, Message::Kind::send, peer, times);
    }
}

ClockOffset ask(Communicator& world, int rounds, ReadClock const& clock) {
    ClockOffset best{.error = std::numeric_limits<std::int64_t>::max()};
    for (int i = 0; i < rounds; ++i) {
        Times times{};
        std::int64_t const sent = clock();
        exchange_times(world, Message::Kind::send, 0, times);
        exchange_times(world, Message::Kind::receive, 0, times);
        std::int64_t const back = clock();
        std::int64_t const way = (back - sent) - (times[1] - times[0]),
                           error = std::max<std::int64_t>(1, (way + 1) / 2);
        if (error < best.error)
            best = {sent + (back - sent) / 2, ((times[0] - sent) + (times[1] - back)) / 2, error};
    }
    return best;
}

} // namespace

std::int64_t steady_nanoseconds() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

ClockOffset measure_clock_offset(Communicator& world, int rounds, ReadClock const& clock) {
    ClockOffset own{.local = clock()};
    for (int rank = 1; rank < world.size(); ++rank) {
        world.barrier("clock"); // so that nobody polls for a turn that is not its own
        if (world.rank() == 0) answer(world, rank, rounds, clock);
        if (world.rank() == rank) own = ask(world, rounds, clock);
    }
    return own;
}

} // namespace trireme::cluster
