// Who is guilty, of records made up by hand.
#include "cluster/verdict.hpp"

#include <gtest/gtest.h>

#include <cstring>

namespace trireme::cluster {
namespace {

template <std::size_t N>
void put(std::array<char, N>& to, char const* text) {
    std::strncpy(to.data(), text, N - 1);
}

/// Records of a world whose ranks a test lets make calls.
class Ranks {
  public:
    explicit Ranks(int size) {
        for (int r = 0; r < size; ++r) {
            Flight f{};
            f.header.rank = r;
            f.header.size = size;
            f.header.step = 7;
            put(f.header.host, "n1");
            put(f.header.phase, "step/data");
            f.header.heartbeat = 1000 + r;
            flights.emplace_back(f);
        }
        silent.resize(flights.size());
    }
    void group(char const* name, std::vector<int> const& members) {
        for (int const r : members) {
            auto& g = of(r).groups.emplace_back();
            put(g.name, name);
            g.leader = members.front();
            g.size = static_cast<std::int32_t>(members.size());
        }
    }
    void call(int rank, char const* group, char const* name, CallState state, std::size_t count = 8,
              Collective op = Collective::all_reduce) {
        for (auto& g : of(rank).groups) {
            if (std::strcmp(g.name.data(), group) != 0) continue;
            FlightCall& c = g.ring[g.calls++ % kFlightCalls];
            c = {};
            c.sequence = c.ordinal = g.ordinals++;
            c.start = ++clock_;
            c.count = count;
            c.op = op;
            c.dtype = DType::f32;
            c.state = state;
            put(c.name, name);
        }
    }
    void message(int rank, char const* group, int peer, Message::Kind kind, CallState state) {
        call(rank, group, "activation", state, 8, Collective::exchange);
        for (auto& g : of(rank).groups)
            if (std::strcmp(g.name.data(), group) == 0) {
                g.ordinals--;
                FlightCall& c = g.ring[(g.calls - 1) % kFlightCalls];
                c.peer = peer;
                c.kind = kind;
                c.ordinal = 0;
            }
    }
    Flight& of(int rank) { return *flights[static_cast<std::size_t>(rank)]; }

    Flights flights;
    std::vector<bool> silent;

  private:
    std::int64_t clock_ = 0;
};

using Guilty = std::vector<int>;
constexpr auto kWaits = CallState::waited_for, kDone = CallState::finished,
               kStarted = CallState::started;

TEST(Hang, WhoHasNotEnteredIsGuilty) {
    Ranks ranks(3);
    ranks.group("world", {0, 1, 2});
    for (int const r : {0, 1, 2}) ranks.call(r, "world", "first", kDone);
    ranks.call(0, "world", "second", kWaits);
    ranks.call(2, "world", "second", kWaits);
    auto const verdict = find_hang(ranks.flights, ranks.silent);
    ASSERT_TRUE(verdict);
    EXPECT_EQ(verdict->guilty, (Guilty{1}));
    EXPECT_EQ(
        verdict->line,
        "rank 1@n1 does not come: phase step/data of step 7, last call all_reduce #0 'first' in "
        "group world (finished); "
        "rank 0@n1, rank 2@n1 waited for it in all_reduce #1 'second' in group world");
}

TEST(Hang, TheChainIsFollowedThroughGroups) {
    Ranks ranks(4); // 0 waits for 1, 1 for 3, 3 for 2, which computes
    ranks.group("tensor", {0, 1});
    ranks.group("data", {1, 3});
    ranks.group("pipeline", {2, 3});
    ranks.call(0, "tensor", "a", kWaits);
    ranks.call(1, "data", "b", kWaits);
    ranks.message(3, "pipeline", 2, Message::Kind::receive, kWaits);
    EXPECT_EQ(find_hang(ranks.flights, ranks.silent)->guilty, (Guilty{2}));
}

TEST(Hang, AMessageThatWasSentIsNoFaultOfTheSender) {
    Ranks ranks(3);
    ranks.group("pipeline", {0, 1, 2});
    ranks.message(0, "pipeline", 1, Message::Kind::send, kStarted);
    ranks.message(1, "pipeline", 0, Message::Kind::receive, kWaits);
    auto const verdict = find_hang(ranks.flights, ranks.silent);
    ASSERT_TRUE(verdict);
    EXPECT_EQ(verdict->guilty, Guilty{});
    EXPECT_NE(verdict->line.find("network"), std::string::npos) << verdict->line;
}

/// A stage posts its next receive and then computes, for ever.
TEST(Hang, AReceiveThatIsPostedAheadIsNoMeeting) {
    Ranks ranks(3);
    ranks.group("pipeline", {0, 1, 2});
    ranks.message(0, "pipeline", 1, Message::Kind::send, kWaits);
    ranks.message(1, "pipeline", 0, Message::Kind::receive, kStarted);
    EXPECT_EQ(find_hang(ranks.flights, ranks.silent)->guilty, (Guilty{1}));
    ranks.message(1, "pipeline", 0, Message::Kind::receive, kWaits);
    EXPECT_EQ(find_hang(ranks.flights, ranks.silent)->guilty, Guilty{});
}

TEST(Hang, WhoIsStoppedInsideACallThatItEnteredIsGuilty) {
    for (auto const state : {kWaits, kDone}) {
        Ranks ranks(3);
        ranks.group("world", {0, 1, 2});
        for (int const r : {0, 2}) ranks.call(r, "world", "a", kWaits);
        ranks.call(1, "world", "a", state);
        ranks.silent[1] = true;
        auto const verdict = find_hang(ranks.flights, ranks.silent);
        ASSERT_TRUE(verdict);
        EXPECT_EQ(verdict->guilty, (Guilty{1}));
        EXPECT_TRUE(verdict->line.starts_with("rank 1@n1 does not answer")) << verdict->line;
    }
    Ranks pair(2);
    pair.group("pipeline", {0, 1});
    pair.message(0, "pipeline", 1, Message::Kind::send, kStarted);
    pair.message(1, "pipeline", 0, Message::Kind::receive, kWaits);
    pair.silent[0] = true;
    EXPECT_EQ(find_hang(pair.flights, pair.silent)->guilty, (Guilty{0}));
}

TEST(Hang, RanksThatWaitForEachOtherAreBothNamed) {
    Ranks ranks(2);
    ranks.group("first", {0, 1});
    ranks.group("second", {0, 1});
    ranks.call(0, "first", "a", kWaits);
    ranks.call(1, "second", "b", kWaits);
    auto const verdict = find_hang(ranks.flights, ranks.silent);
    ASSERT_TRUE(verdict);
    EXPECT_EQ(verdict->guilty, (Guilty{0, 1}));
    EXPECT_NE(verdict->line.find("wait for each other"), std::string::npos) << verdict->line;
}

TEST(Hang, ASilentRankIsGuiltyWhateverItWaitsIn) {
    Ranks ranks(3);
    ranks.group("world", {0, 1, 2});
    for (int const r : {0, 1}) ranks.call(r, "world", "a", kWaits);
    ranks.silent[1] = true;
    ranks.call(2, "world", "a", kWaits);
    ranks.call(2, "world", "b", kStarted);
    // All have entered, and a call does not end while one of them stands still in it.
    EXPECT_EQ(find_hang(ranks.flights, ranks.silent)->guilty, (Guilty{1}));
    ranks.flights[1].reset();
    EXPECT_EQ(find_hang(ranks.flights, ranks.silent)->guilty, (Guilty{1}));
}

TEST(Hang, NobodyIsAccusedWhereNobodyWaits) {
    Ranks ranks(2);
    ranks.group("world", {0, 1});
    ranks.call(0, "world", "a", kStarted);
    EXPECT_FALSE(find_hang(ranks.flights, ranks.silent));
}

TEST(Mismatch, TheMinorityIsNamed) {
    Ranks ranks(3);
    ranks.group("data", {0, 1, 2});
    for (int const r : {0, 1, 2}) ranks.call(r, "data", "a", kDone);
    for (int const r : {0, 1, 2}) ranks.call(r, "data", "b", kStarted, r == 1 ? 7 : 8);
    auto const verdict = find_mismatch(ranks.flights);
    ASSERT_TRUE(verdict);
    EXPECT_EQ(verdict->guilty, (Guilty{1}));
    EXPECT_NE(
        verdict->line.find(
            "rank 1@n1 called all_reduce of 7 f32 'b' where rank 0@n1 called all_reduce of 8"),
        std::string::npos)
        << verdict->line;
}

TEST(Mismatch, OfTwoTheOneThatBreaksTheHabitIsNamed) {
    Ranks ranks(2);
    ranks.group("data", {0, 1});
    for (int step = 0; step < 2; ++step)
        for (char const* const name : {"a", "b", "c"})
            for (int const r : {0, 1}) ranks.call(r, "data", name, kDone);
    ranks.call(0, "data", "a", kWaits);
    ranks.call(1, "data", "b", kWaits); // left "a" out
    auto const verdict = find_mismatch(ranks.flights);
    ASSERT_TRUE(verdict);
    EXPECT_EQ(verdict->guilty, (Guilty{1}));
    EXPECT_NE(verdict->line.find("which rank 1@n1 left out"), std::string::npos) << verdict->line;
}

TEST(Mismatch, WhatMayDifferIsNoMismatch) {
    Ranks ranks(2);
    ranks.group("data", {0, 1});
    for (int const r : {0, 1}) {
        ranks.call(r, "data", "pieces", kDone, static_cast<std::size_t>(r), Collective::all_to_all);
        ranks.call(r, "data", r ? "tensor" : "sharers", kDone, 0, Collective::split);
    }
    EXPECT_FALSE(find_mismatch(ranks.flights));
}

TEST(Death, WhoDiedWithoutBeingToldIsGuilty) {
    Ranks ranks(3);
    for (int const r : {0, 2}) ranks.of(r).header.asked_to_end = 5;
    EXPECT_EQ(find_death(ranks.flights)->guilty, (Guilty{1}));
    ranks.of(1).header.asked_to_end = 5;
    EXPECT_EQ(find_death(ranks.flights)->guilty, Guilty{});
}

TEST(Death, TheFirstThatFailedIsNamedWithItsError) {
    Ranks ranks(3);
    for (int const r : {1, 2}) {
        ranks.of(r).header.end = FlightEnd::failed;
        put(ranks.of(r).header.error, r == 1 ? "disk full" : "a call failed");
    }
    auto const verdict = find_death(ranks.flights);
    EXPECT_EQ(verdict->guilty, (Guilty{1}));
    EXPECT_NE(verdict->line.find("rank 1@n1 failed: disk full"), std::string::npos)
        << verdict->line;
}

TEST(Death, AJobThatEndedWellHasNoGuilty) {
    Ranks ranks(2);
    for (int const r : {0, 1}) ranks.of(r).header.end = FlightEnd::well;
    EXPECT_FALSE(find_death(ranks.flights));
}

TEST(Flight, WhatIsNoRecordIsRefused) {
    EXPECT_THROW(static_cast<void>(flight_from_bytes("", "x")), InputError);
    EXPECT_THROW(static_cast<void>(flight_from_bytes(std::string(sizeof(FlightHeader), 'a'), "x")),
                 InputError);
    Ranks ranks(1);
    ranks.of(0).header.magic = kFlightMagic;
    ranks.of(0).header.version = kFlightVersion;
    ranks.of(0).header.groups = 2; // more than are there
    EXPECT_THROW(static_cast<void>(flight_from_bytes(to_bytes(ranks.of(0)), "x")), InputError);
    ranks.of(0).header.groups = 0;
    EXPECT_EQ(flight_from_bytes(to_bytes(ranks.of(0)), "x").header.rank, 0);
}

} // namespace
} // namespace trireme::cluster
