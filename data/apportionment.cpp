#include "data/apportionment.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace trireme::data {

namespace {

/// Parts of a sample: 720,720 is what all numbers to 16 divide, so that simple ratios and percents
/// have their exact shares.
constexpr std::int64_t kSample = 720'720'000'000;
constexpr std::int64_t kKept = 1 << 16; ///< places between states that are kept
constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

/// Divides a sample in proportion; whatever rounding leaves goes to the largest.
std::vector<std::int64_t> parts_of(std::vector<double> const& weights) {
    double const sum = std::accumulate(weights.begin(), weights.end(), 0.0);
    std::vector<std::int64_t> parts;
    for (double const weight : weights)
        parts.push_back(weight > 0
                            ? std::max<std::int64_t>(
                                  1, std::llround(weight / sum * static_cast<double>(kSample)))
                            : 0);
    *std::ranges::max_element(parts) +=
        kSample - std::accumulate(parts.begin(), parts.end(), std::int64_t{0});
    return parts;
}

/// How far behind a source must be to be next, as a part 1 / steps_of of a sample.
std::int64_t steps_of(std::size_t sources) {
    return sources > 1 ? 2 * static_cast<std::int64_t>(sources) - 2 : 2;
}

} // namespace

Apportionment::Apportionment(std::vector<Stage> const& stages) {
    for (auto const& stage : stages) {
        if (!stages_.empty()) stages_.back().end = stage.from;
        stages_.push_back({stage.from, kNever, parts_of(stage.weights)});
    }
    std::vector<std::int64_t> const none(stages_.front().of.size(), 0);
    state_ = {.behind = none, .drawn = none};
    kept_ = {state_};
}

/// The last place at which the source can be drawn and is not too far behind.
std::int64_t Apportionment::deadline(State const& state, std::size_t source) const {
    std::int64_t const steps = steps_of(state.behind.size());
    std::int64_t room = kSample * (steps - 1) - state.behind[source] * steps;
    if (room < 0) return state.place;
    std::int64_t from = state.place + 1;
    for (std::size_t s = state.stage; s < stages_.size(); ++s) {
        std::int64_t const gain = stages_[s].of[source] * steps,
                           places = stages_[s].end - std::max(from, stages_[s].from);
        if (places <= 0) continue;
        std::int64_t const first_over = gain > 0 ? room / gain : kNever;
        if (first_over < places) return from + first_over;
        if (stages_[s].end == kNever) break;
        room -= gain * places;
        from = stages_[s].end;
    }
    return kNever;
}

std::size_t Apportionment::draw(State& state) const {
    while (state.place >= stages_[state.stage].end) ++state.stage;
    auto const& parts = stages_[state.stage].of;
    std::int64_t const steps = steps_of(parts.size());
    std::size_t next = parts.size();
    std::int64_t earliest = kNever;
    for (std::size_t i = 0; i < parts.size(); ++i) {
        state.behind[i] += parts[i];
        if (state.behind[i] * steps < kSample) continue;
        std::int64_t const last = deadline(state, i);
        if (next < parts.size() && last >= earliest) continue;
        earliest = last;
        next = i;
    }
    state.behind.at(next) -= kSample;
    state.drawn[next] += 1;
    state.place += 1;
    return next;
}

Apportionment::State& Apportionment::walk_to(std::int64_t place) const {
    auto const near = static_cast<std::size_t>(
        std::min(place / kKept, static_cast<std::int64_t>(kept_.size()) - 1));
    if (state_.place > place || kept_[near].place > state_.place) state_ = kept_[near];
    while (state_.place < place) {
        draw(state_);
        if (state_.place == std::ssize(kept_) * kKept) kept_.push_back(state_);
    }
    return state_;
}

Apportionment::Draw Apportionment::at(std::int64_t place) const {
    State& state = walk_to(place);
    std::size_t const source = draw(state);
    std::int64_t const nth = state.drawn[source] - 1;
    if (state.place == std::ssize(kept_) * kKept) kept_.push_back(state);
    return {source, nth};
}

std::vector<std::int64_t> Apportionment::drawn(std::int64_t places) const {
    return walk_to(places).drawn;
}

} // namespace trireme::data
