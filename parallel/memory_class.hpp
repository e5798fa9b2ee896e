// Says what memory is taken for: code that allocates notes it, and a meter of allocations
// (framework/planning/memory_meter.hpp) reads it, with the place in the step. Each thread has its
// own notes.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

#include "parallel/step_place.hpp"

namespace trireme::parallel {

/// Buffers are what comes and goes with a unit: gathered weights, the gradient of a micro-batch,
/// staged state. Communication is what arrives for a sum.
enum class MemoryClass : std::uint8_t {
    weights,
    gradients,
    optimizer,
    activations,
    buffers,
    communication,
    data
};
inline constexpr std::array kMemoryClassNames{
    "weights", "gradients", "optimizer", "activations", "buffers", "communication", "data"};
inline constexpr std::size_t kMemoryClasses = kMemoryClassNames.size();
inline char const* name_of(MemoryClass memory) {
    return kMemoryClassNames[static_cast<std::size_t>(memory)];
}

/// Holds the class of what this thread allocates.
inline thread_local MemoryClass allocating = MemoryClass::activations;
/// Changes it for as long as one is alive.
class AllocatingFor {
  public:
    explicit AllocatingFor(MemoryClass memory) : before_(allocating) { allocating = memory; }
    ~AllocatingFor() { allocating = before_; }
    AllocatingFor(AllocatingFor const&) = delete;
    AllocatingFor& operator=(AllocatingFor const&) = delete;

  private:
    MemoryClass before_;
};

} // namespace trireme::parallel
