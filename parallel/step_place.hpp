// Says where in a step a thread is: code that computes notes it, and meters of memory, clocks and
// timelines read it. Each thread has its own notes.
#pragma once
#include <cstdint>

namespace trireme::parallel {

/// A place in a step: what a rank does, for which micro-step, chunk and block (-1: for none).
struct StepPlace {
    char const* doing = "set-up"; ///< a literal
    std::int64_t micro_step = -1;
    int chunk = -1;
    std::int64_t block = -1;

    bool operator==(StepPlace const&) const = default;
};
inline thread_local StepPlace step_place;

/// Sees this thread move from place to place. Must not communicate.
class PlaceObserver {
  public:
    virtual ~PlaceObserver() = default;
    virtual void on_place(StepPlace const& place) = 0;
};
/// Null: nobody looks, and noting a place costs a comparison.
inline thread_local PlaceObserver* place_observer = nullptr;

/// Tells the observer alone: of the beginning of an action, before its first block, and of what is
/// no part of a model's passes.
inline void tell_place(StepPlace const& place) {
    if (place_observer) place_observer->on_place(place);
}
inline void enter_place(StepPlace const& place) {
    step_place = place;
    tell_place(place);
}

} // namespace trireme::parallel
