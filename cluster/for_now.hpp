// Sizes that loops and buffers are cut at are variables of their components: proofs and tests make
// them small, so that what happens at a cut happens to small data too.
#pragma once
#include <atomic>

namespace trireme::cluster {

/// Gives a variable another value for as long as it lives, in every thread of the process; one at a
/// time for each variable.
template <typename T>
class ForNow {
  public:
    ForNow(std::atomic<T>& variable, T value)
        : variable_(variable), before_(variable.exchange(value)) {}
    ~ForNow() { variable_ = before_; }
    ForNow(ForNow const&) = delete;
    ForNow& operator=(ForNow const&) = delete;

  private:
    std::atomic<T>& variable_;
    T before_;
};

} // namespace trireme::cluster
