// Ranks as threads, each with a GPU of the stand-in and the NCCL back end over it.
#pragma once
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "cluster/nccl_communicator.hpp"
#include "tests/cluster/conformance.hpp"
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

struct StandinOutcome {
    std::vector<std::string> violations, orderings; ///< orderings of the rank that is counted
    std::size_t synchronisations, aborts;
};

using Body = std::function<void(cluster::Communicator& world)>;

/// The suite that every communicator passes, in memory of the stand-in.
inline Body conformance(DevicePlace::Waiting waiting) {
    return [waiting](cluster::Communicator& world) {
        StandinPlace place(waiting);
        expect_conformance_at(world, place);
    };
}

/// Runs `body` on `ranks` ranks, then lets every stream run dry. Rethrows the first error of a
/// rank.
StandinOutcome
run_on_standin(int ranks, standin::Options machine, Body const& body,
               cluster::CommunicatorOptions const& options = {.deadline = std::chrono::seconds(60)},
               int counted = 0);

/// Signs that an ordering is missing: an access that nothing orders, a wrong value, an error,
/// or nothing.
enum class Notice { violation, value, error, none };
/// Whether `body` fails on `machine`. Its failures are counted, not reported.
Notice notice_of(int ranks, standin::Options const& machine, Body const& body, int counted = 0);
struct LeftOut {
    std::string what; ///< the kind of ordering
    Notice notice;
};

/// Runs `body` once as it is, then once without each ordering of the rank that is counted (each
/// wait of a stream for an event, each record of an event, each look of the host at one), as if its
/// line were not in the code.
std::vector<LeftOut> leave_out_each_ordering(int ranks, Body const& body,
                                             standin::Options machine = {.longest_pause = 20},
                                             int counted = 0);
/// Runs it once for each name without all orderings of that name, as if that line were not in the
/// code; the result is by name.
std::map<std::string, Notice> leave_out_each_name(int ranks, Body const& body,
                                                  standin::Options machine);
/// Fails unless each loss is noticed, and prints how many were in which way.
void expect_every_ordering_needed(std::string const& name, int ranks, Body const& body,
                                  standin::Options const& machine = {.longest_pause = 20});

} // namespace trireme::test
