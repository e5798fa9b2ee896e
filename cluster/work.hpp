// The handle of a collective in flight.
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace trireme::cluster {

/// A back end's side of one call. `test` makes progress and never blocks. Owns scratch memory the call needs.
class Operation {
  public:
    virtual ~Operation() = default;
    /// True once complete. Throws JobError if the library reports an error.
    virtual bool test() = 0;
};

/// Move-only. Must be waited for; the destructor of one still in flight reports and aborts, since its memory is about
/// to go away under the library. A default-constructed Work is done.
class Work {
  public:
    Work() = default;
    Work(Work&&) noexcept;
    Work& operator=(Work&&) noexcept;
    ~Work();

    bool done(); ///< makes progress; true once complete
    /// Polls until complete. Throws JobError naming group, operation, sequence number and name past the deadline.
    void wait();

  private:
    friend class Communicator;
    struct State;
    explicit Work(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

} // namespace trireme::cluster
