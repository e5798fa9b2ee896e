// Calls that the host handed to the device, watched until the device is through with them.
#pragma once
#include <chrono>
#include <condition_variable>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "cluster/device.hpp"
#include "cluster/nccl_group.hpp"

namespace trireme::cluster {

/// One NCCL call: its group, and the event at its end.
struct NcclFlight {
    std::shared_ptr<NcclGroup> group;
    Event end;
};

/// A thread that polls. On an error of NCCL's or past a deadline it says so and ends the process at
/// once (code kFailed): the host may be blocked in a call of CUDA's, and what the device computes
/// after an abort must reach no checkpoint.
class NcclWatch {
  public:
    explicit NcclWatch(int device) : device_(device) {}
    ~NcclWatch();
    NcclWatch(NcclWatch const&) = delete;
    NcclWatch& operator=(NcclWatch const&) = delete;

    void add(std::shared_ptr<NcclFlight> flight, std::string what,
             std::chrono::steady_clock::time_point deadline);
    /// Aborts a group, of which the host is about to throw the reason: its calls are no longer
    /// watched.
    void abort(NcclGroup& group);

  private:
    struct Watched {
        std::shared_ptr<NcclFlight> flight;
        std::string what;
        std::chrono::steady_clock::time_point deadline;
    };
    void run();
    static bool is_through(Watched const& watched);

    /// this process's device: a thread that does not select one gets a context of its own on device
    /// 0
    int device_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::list<Watched> watched_;
    bool stop_ = false;
    std::thread thread_; ///< started by the first call
};

} // namespace trireme::cluster
