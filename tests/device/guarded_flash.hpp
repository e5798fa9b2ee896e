// Inside of the guarded device: flash attention, which libtorch has not for CPUs, computed from its
// documented arguments.
#pragma once
#include <cstddef>

namespace trireme::test {

/// While one lives, the calling thread computes in the device's place: its copies to and from the
/// CPU are not the program's. At its end what the device's operations opened is closed.
class OnTheCpu {
  public:
    OnTheCpu();
    ~OnTheCpu();
    OnTheCpu(OnTheCpu const&) = delete;
    OnTheCpu& operator=(OnTheCpu const&) = delete;

  private:
    bool outer_;
};

/// So far, forward and backward, of this process.
std::size_t flash_calls();

} // namespace trireme::test
