#include "framework/run/step_clock.hpp"

#include <algorithm>
#include <type_traits>
#include <utility>

#include "cluster/waiting.hpp"
#include "parallel/group_names.hpp"

namespace trireme::framework::run {

namespace {

/// Entries of StepTimes, one after another.
constexpr std::size_t kEntries = sizeof(StepTimes) / sizeof(double);
static_assert(std::is_trivially_copyable_v<StepTimes> && kEntries == 2 + kStepPhases + kStepAxes);

cluster::Buffer buffer_of(StepTimes& times) {
    return {&times, kEntries, cluster::DType::f64};
}

StepPhase phase_of(std::string_view doing) {
    auto const found = std::ranges::find(kStepPhaseNames, doing);
    return found == kStepPhaseNames.end() ? StepPhase::other
                                          : static_cast<StepPhase>(found - kStepPhaseNames.begin());
}

/// A mean step of `sums`.
StepTimes mean_of(StepTimes const& sums) {
    StepTimes mean = sums;
    if (sums.steps == 0) return mean;
    mean.seconds /= sums.steps;
    for (double& x : mean.own) x /= sums.steps;
    for (double& x : mean.exposed) x /= sums.steps;
    return mean;
}

} // namespace

StepAxis axis_of(std::string_view group) {
    if (group == "shard" || group == parallel::kGradients) return StepAxis::shard;
    if (group == "tensor" || group.starts_with(parallel::kTensorSharers)) return StepAxis::tensor;
    if (group == "pipeline" || parallel::is_of(parallel::kActivations, group) ||
        parallel::is_of(parallel::kActivationGradients, group))
        return StepAxis::pipeline;
    if (group == parallel::kData || group == "replicate") return StepAxis::data;
    return StepAxis::world;
}

StepClock::~StepClock() {
    if (looks_) parallel::place_observer = next_;
}

void StepClock::add_exposed(double sign) {
    for (auto const& [group, seconds] : cluster::seconds_waited_by_group())
        sums_.exposed[static_cast<std::size_t>(axis_of(group))] += sign * seconds;
}

void StepClock::begin() {
    start_ = since_ = Clock::now();
    waited_ = cluster::seconds_waited();
    phase_ = StepPhase::data;
    add_exposed(-1);
    looks_ = true;
    next_ = std::exchange(parallel::place_observer, this);
}

void StepClock::close_phase() {
    auto const now = Clock::now();
    double const waited = cluster::seconds_waited();
    double const all = std::chrono::duration<double>(now - since_).count();
    sums_.own[static_cast<std::size_t>(phase_)] += all - (waited - waited_);
    since_ = now;
    waited_ = waited;
}

void StepClock::on_place(parallel::StepPlace const& place) {
    close_phase();
    phase_ = phase_of(place.doing);
    if (next_) next_->on_place(place);
}

void StepClock::end() {
    close_phase();
    add_exposed(1);
    sums_.steps += 1;
    sums_.seconds += std::chrono::duration<double>(since_ - start_).count();
    looks_ = false;
    parallel::place_observer = next_;
}

StepTimes StepClock::take() {
    return std::exchange(sums_, {});
}

JobStepTimes gather_step_times(cluster::Communicator& world, StepTimes const& own) {
    JobStepTimes times{mean_of(own), mean_of(own)};
    world.all_reduce(buffer_of(times.mean), cluster::ReduceOp::sum, "step/performance").wait();
    world.all_reduce(buffer_of(times.most), cluster::ReduceOp::max, "step/performance").wait();
    auto* const entries = reinterpret_cast<double*>(&times.mean);
    for (std::size_t i = 0; i < kEntries; ++i) entries[i] /= world.size();
    return times;
}

} // namespace trireme::framework::run
