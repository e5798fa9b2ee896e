// Times of a step on this rank: its own work by phase, and by axis of the mesh what it waited for
// other ranks, which no work of its own hid. Clocks are read where the engine goes on to another
// block and where a host waits for a call, never in a kernel; on a GPU, where the host waits for
// nothing, they say nothing.
//
// Phases and axes partition a step: their sum is its wall time. Time in calls that do not wait
// (starting one, polling those in flight) counts as work of the phase.
#pragma once
#include <array>
#include <chrono>
#include <cstdint>
#include <string_view>

#include "cluster/communicator.hpp"
#include "parallel/step_place.hpp"

namespace trireme::framework::run {

enum class StepPhase : std::uint8_t {
    data,            ///< planning, reading and moving micro-batches
    forward,         ///< recomputation is part of the backward pass
    backward,        ///< both gradients, or those of the input alone
    weight_gradient, ///< where the schedule has it apart
    reduction,       ///< of gradients, what is left of it after the passes
    norm,            ///< and the loss
    update,
    refresh, ///< of what computes, by the updated weights
    other
};
inline constexpr std::size_t kStepPhases = 9;
/// Names in events, in the order of the values.
inline constexpr std::array<char const*, kStepPhases> kStepPhaseNames{
    "data",   "forward", "backward", "weight gradient", "reduction", "norm",
    "update", "refresh", "other"};

/// Groups of ranks that a step waits for, by what they divide: samples, ZeRO's shards, a layer,
/// the layers. `world` is all ranks together: the norm, and orders.
enum class StepAxis : std::uint8_t { data, shard, tensor, pipeline, world };
inline constexpr std::size_t kStepAxes = 5;
inline constexpr std::array<char const*, kStepAxes> kStepAxisNames{"data", "zero", "tensor",
                                                                   "pipeline", "world"};
/// The axis of a group of the mesh (parallel/group_names.hpp).
StepAxis axis_of(std::string_view group);

/// Sums over some steps. Nothing but doubles: ranks add these up.
struct StepTimes {
    double steps = 0, seconds = 0;
    std::array<double, kStepPhases> own{};
    std::array<double, kStepAxes> exposed{};
};

class StepClock : public parallel::PlaceObserver {
  public:
    StepClock() = default;
    ~StepClock() override; ///< stops to look
    StepClock(StepClock const&) = delete;
    StepClock& operator=(StepClock const&) = delete;

    /// Starts a step, in the phase `data`, and looks at this thread's places until end().
    void begin();
    void on_place(parallel::StepPlace const& place) override;
    void end();
    StepTimes take(); ///< of the steps since the last call

  private:
    using Clock = std::chrono::steady_clock;
    void close_phase();
    void add_exposed(double sign);

    StepTimes sums_;
    StepPhase phase_ = StepPhase::data;
    Clock::time_point start_, since_;
    double waited_ = 0;
    bool looks_ = false;
    parallel::PlaceObserver* next_ = nullptr; ///< was there before, and is told too
};

/// A mean step of a rank, over the ranks and of each part the largest.
struct JobStepTimes {
    StepTimes mean, most;
};
/// Returns equal times on every rank. Collective over `world`.
JobStepTimes gather_step_times(cluster::Communicator& world, StepTimes const& own);

} // namespace trireme::framework::run
