#include "framework/run/stragglers.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>
#include <vector>

#include "cluster/gather.hpp"
#include "cluster/host.hpp"
#include "cluster/waiting.hpp"
#include "framework/run/median.hpp"

namespace trireme::framework::run {

namespace {

double sum(std::array<double, kPhases> const& seconds) {
    return std::accumulate(seconds.begin(), seconds.end(), 0.0);
}

} // namespace

char const* name_of(Phase phase) {
    constexpr std::array kNames{"load", "compute", "norm", "update"};
    return kNames[static_cast<std::size_t>(phase)];
}

void PhaseClock::enter(Phase phase) {
    leave();
    phase_ = phase;
    start_ = std::chrono::steady_clock::now();
    waited_ = cluster::seconds_waited();
}

void PhaseClock::leave() {
    if (!phase_) return;
    double const all =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    own_[static_cast<std::size_t>(*phase_)] += all - (cluster::seconds_waited() - waited_);
    phase_.reset();
}

std::array<double, kPhases> PhaseClock::take() {
    return std::exchange(own_, {});
}

using Times = std::vector<std::array<double, kPhases>>; ///< by rank

namespace {

/// Finds the phase in which `slowest` lost most against the median, and the medians.
static void compare_phases(Times const& all, std::array<double, kPhases> const& slowest,
                           RankTimes& times) {
    double worst = -1;
    for (std::size_t p = 0; p < kPhases; ++p) {
        std::vector<double> of_phase;
        for (auto const& rank : all) of_phase.push_back(rank[p]);
        times.median_seconds[p] = median(std::move(of_phase));
        if (double const lost = slowest[p] - times.median_seconds[p]; lost > worst) {
            worst = lost;
            times.phase = static_cast<Phase>(p);
        }
    }
}

/// Everything but the host of the slowest.
RankTimes compare_times(Times const& all) {
    RankTimes times;
    auto const slowest = std::ranges::max_element(all, {}, sum);
    times.slowest = static_cast<int>(slowest - all.begin());
    times.slowest_seconds = *slowest;
    compare_phases(all, *slowest, times);
    std::vector<double> others;
    for (auto r = all.begin(); r != all.end(); ++r)
        if (r != slowest) others.push_back(sum(*r));
    if (double const usual = median(std::move(others)); usual > 0)
        times.ratio = sum(*slowest) / usual;
    return times;
}

} // namespace

RankTimes gather_times(cluster::Communicator& world, std::array<double, kPhases> const& own) {
    std::string mine(sizeof own, '\0');
    std::memcpy(mine.data(), own.data(), sizeof own);
    auto const reports =
        cluster::all_gather_bytes(world, mine + cluster::host_name(), "step/times");
    Times all(reports.size());
    for (std::size_t r = 0; r < all.size(); ++r)
        std::memcpy(all[r].data(), reports[r].data(), sizeof own);

    RankTimes times = compare_times(all);
    times.host = reports[static_cast<std::size_t>(times.slowest)].substr(sizeof own);
    return times;
}

} // namespace trireme::framework::run
