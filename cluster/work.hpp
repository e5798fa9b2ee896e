// The handle of a collective in flight.
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace trireme::cluster {

/// A back end's side of one call. `test` makes progress and never blocks. Owns scratch memory the
/// call needs.
class Operation {
  public:
    virtual ~Operation() = default;
    /// True once complete. Throws JobError if the library reports an error.
    virtual bool test() = 0;
    /// The caller goes on only when the call is complete.
    virtual void awaited() {}
    /// Queues, on the device, a wait of `stream` for the end of this call, and has it watched from
    /// then on: past `deadline` the job ends, naming `what`. False from back ends of the host,
    /// which have no streams.
    virtual bool hold(void* /*stream*/, std::string const& /*what*/,
                      std::chrono::steady_clock::time_point /*deadline*/) {
        return false;
    }
    /// The call passed its deadline: the library lets go of it. The group is of no use afterwards.
    virtual void give_up() {}
};

/// Move-only. Must be waited for; the destructor of one still in flight reports and aborts, since
/// its memory is about to go away under the library. A default-constructed Work is done.
class Work {
  public:
    Work() noexcept;
    Work(Work&&) noexcept;
    Work& operator=(Work&&) noexcept;
    ~Work();

    bool done(); ///< makes progress; true once complete
    /// Polls until complete. Throws JobError naming group, operation, sequence number and name past
    /// the deadline.
    void wait();
    /// Makes whatever is queued on `stream` (a CUDA stream) from now on run after this call's end:
    /// the device waits, the host goes on, and the Work may be destroyed. Call it for each stream
    /// that uses the memory. The back end watches the call and ends the job past its deadline,
    /// since the host is not here to be told. Back ends of the host wait as wait() does.
    void wait(void* stream);

  private:
    friend class Communicator;
    struct State;
    explicit Work(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

} // namespace trireme::cluster
