// Teams of lanes as a GPU has them, made of threads, for tests of fused kernels.
#pragma once
#include <gtest/gtest.h>

#include <barrier>
#include <cstdint>
#include <thread>
#include <vector>

#include "framework/kernels/fused/team.hpp"

namespace trireme::framework::kernels::fused {

/// Where the lanes of a team of threads meet.
struct Meeting {
    explicit Meeting(int n) : gate(n), places(static_cast<std::size_t>(n)) {}
    std::barrier<> gate;
    std::vector<double> places;
};

/// A team as a GPU has it: lanes that run at the same time and wait for each other.
struct ThreadTeam {
    Meeting* meeting;
    int own;

    int lane() const { return own; }
    int lanes() const { return static_cast<int>(meeting->places.size()); }
    void wait() const { meeting->gate.arrive_and_wait(); }
    template <typename S, typename F>
    S all(S x, F const& f) const {
        auto* const places = shared<S>();
        places[own] = x;
        wait();
        S found = places[0];
        for (int l = 1; l < lanes(); ++l) found = f(found, places[l]);
        wait();
        return found;
    }
    template <typename S>
    S sum(S x) const {
        return all(x, [](S a, S b) { return a + b; });
    }
    template <typename S>
    S highest(S x) const {
        return all(x, [](S a, S b) { return a > b ? a : b; });
    }
    template <typename S>
    S lowest(S x) const {
        return all(x, [](S a, S b) { return a < b ? a : b; });
    }
    template <typename S>
    S* shared() const {
        return reinterpret_cast<S*>(meeting->places.data());
    }
};

template <int V, typename Program>
void run_by_team(Program const& program, int lanes) {
    Meeting meeting(lanes);
    std::vector<std::jthread> threads;
    for (int l = 0; l < lanes; ++l)
        threads.emplace_back([&, l] {
            for (std::int64_t row = 0; row < program.rows(); ++row)
                program.template run<V>(ThreadTeam{&meeting, l}, row);
        });
}

/// Runs `check` after the program by each kind of team.
template <typename Program, typename F>
void by_every_team(Program const& program, F const& check) {
    ASSERT_TRUE(Program::kPack == 1 || program.packed());
    run_on_host(program);
    check("one lane");
    for (int const lanes : {3, 40}) {
        run_by_team<1>(program, lanes);
        check("a team, one by one");
        run_by_team<Program::kPack>(program, lanes);
        check("a team, in packs");
    }
}

using Doubles = std::vector<double>;

inline void expect_near(Doubles const& a, Doubles const& b, double most, char const* what) {
    ASSERT_EQ(a.size(), b.size());
    for (std::size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], most) << what << " " << i;
}

} // namespace trireme::framework::kernels::fused
