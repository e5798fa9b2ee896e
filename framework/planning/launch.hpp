// One kernel that a step started, and one collective call, for whoever times or prices them.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "cluster/communicator.hpp"
#include "framework/planning/calibration.hpp"

namespace trireme::framework::planning {

using Clock = std::chrono::steady_clock;

struct Launch {
    /// of libtorch's operation or of a kernel of ours, the same on every device; "NAME/strided"
    /// where it reads elements that do not lie in order
    std::string name;
    std::string_view dtype;   ///< of its first floating tensor: fp32, bf16, fp64, or none
    std::int64_t bytes = 0;   ///< read and written
    std::int64_t kernels = 1; ///< that libtorch's operation starts
    bool multiplies = false;  ///< matrices, or queries, keys and values
    ProductShape product;     ///< of matrix products; rows 0: it is none
    std::int64_t batch = 1;   ///< products of that shape in one launch
    std::int64_t tokens = 0;  ///< of attention: rows of its queries; 0: it is none
    std::int64_t heads = 0, head_size = 0;
    /// when it was called and when it was done; a kernel of ours is called at `end`
    Clock::time_point begin, end;
};

/// Sees what a step does, in its order. parallel::step_place says where in the step. Must start no
/// operation of libtorch.
class StepWatcher {
  public:
    virtual ~StepWatcher() = default;
    virtual void launched(Launch const& launch) = 0;
    virtual void call_started(std::string_view /*group*/, cluster::CallRecord const& /*call*/) {}
    virtual void call_finished(std::string_view /*group*/, std::uint64_t /*sequence*/) {}
};

} // namespace trireme::framework::planning
