// Ranks as threads, each with a GPU of the stand-in and the NCCL back end over it.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "cluster/nccl_communicator.hpp"
#include "tests/cluster/device_place.hpp"
#include "tests/standin/machine.hpp"

namespace trireme::test {

/// Tells the stand-in what the host does with pinned memory.
class StandinPlace : public DevicePlace {
  public:
    using DevicePlace::DevicePlace;

  private:
    void on_host_access(void const* pinned, std::size_t bytes, bool write) override {
        standin::host_access({pinned, bytes}, write);
    }
};

struct Outcome {
    std::vector<std::string> violations, orderings; ///< orderings of rank 0
    std::size_t synchronisations;
};

using Body = std::function<void(cluster::Communicator& world)>;

/// Runs `body` on `ranks` ranks, then lets every stream run dry. Rethrows the first error of a rank.
Outcome run_on_standin(int ranks, standin::Options machine, Body const& body,
                       cluster::CommunicatorOptions const& options = {.deadline = std::chrono::seconds(60)});

/// Runs it once as it is, then once without each ordering of rank 0, and prints what was found. Fails unless each loss
/// is noticed: by a violation, by a wrong value or by an error.
void expect_every_ordering_needed(std::string const& name, int ranks, Body const& body);

} // namespace trireme::test
